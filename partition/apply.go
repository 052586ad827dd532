package partition

import (
	"maps"
	"slices"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// Apply follows the metadata from one image to the next: it opens and deletes logs, many in one go, begins leader
// epochs and takes configs. With the first image it puts logs that the metadata does not know into quarantine. It
// returns when all is done, so whoever is told of a topic after this finds it here. It may wait for the disk.
func (m *Manager) Apply(next *controller.Image, c controller.Changes) {
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.closed {
		return
	}
	s := newStep(m, next, c)
	if s.broker {
		m.setThrottles()
	}
	s.find(c)
	s.open()
	s.publish()
	s.follow()
	s.delete()
	if c.All {
		s.quarantine()
	}
}

// step is one Apply: what it finds to do, collected first, so that the engine is asked for many logs at once.
type step struct {
	m       *Manager
	next    *controller.Image
	all     bool                           // the image is a new one as a whole
	broker  bool                           // what is set on brokers has changed, so topics' defaults may have
	configs map[string]bool                // names of topics whose configs have changed
	topics  []*controller.Topic            // to bring up to date
	changed map[kafkaproto.TopicID]*hosted // what replaces the manager's; nil for what goes
	missing map[log.LogConfig][]missing    // logs to open, by their config
	kinds   []log.LogConfig                // of missing, in the order in which they came up
	leaving []*Partition                   // no longer this node's
}

// missing is a log to open, and where its partition belongs.
type missing struct {
	id   kafkaproto.TopicPartition
	into *hosted
}

func newStep(m *Manager, next *controller.Image, c controller.Changes) *step {
	s := &step{
		m: m, next: next, all: c.All, broker: c.ConfigsOf(controller.BrokerConfig), configs: make(map[string]bool),
		changed: make(map[kafkaproto.TopicID]*hosted), missing: make(map[log.LogConfig][]missing),
	}
	for _, r := range c.Configs {
		if r.Kind == controller.TopicConfig {
			s.configs[r.Name] = true
		}
	}
	return s
}

// find goes through what has changed.
func (s *step) find(c controller.Changes) {
	if s.all {
		for t := range s.next.Topics() {
			s.topic(t)
		}
		for _, id := range slices.SortedFunc(maps.Keys(s.m.topics), compareTopics) {
			if _, ok := s.next.TopicByID(id); !ok {
				s.leaveTopic(id)
			}
		}
		return
	}
	for _, id := range c.Topics {
		if t, ok := s.next.TopicByID(id); ok {
			s.topic(t)
		} else {
			s.leaveTopic(id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.configs)) {
		if t, ok := s.next.Topic(name); ok {
			s.topic(t)
		}
	}
	if s.broker {
		for t := range s.next.Topics() {
			s.topic(t)
		}
	}
}

func hosts(p *controller.Partition, node int32) bool { return slices.Contains(p.Replicas, node) }

// topic finds out what a topic of the image needs.
func (s *step) topic(t *controller.Topic) {
	if _, done := s.changed[t.ID]; done {
		return
	}
	old := s.m.topics[t.ID]
	h := &hosted{settings: s.settings(t, old), partitions: make([]*Partition, len(t.Partitions))}
	if old != nil {
		copy(h.partitions, old.partitions)
	}
	for i, part := range t.Partitions {
		p := h.partitions[i]
		switch mine := hosts(part, s.m.nodeID); {
		case mine && p == nil:
			s.want(missing{kafkaproto.TopicPartition{Topic: t.ID, Partition: part.ID}, h})
		case mine:
			if old.settings != h.settings {
				s.reconfigure(p, h.settings)
			}
		case p != nil:
			s.leaving = append(s.leaving, p)
			h.partitions[i] = nil
		}
	}
	s.topics = append(s.topics, t)
	s.changed[t.ID] = h
}

func (s *step) want(w missing) {
	kind := w.into.settings.log
	if s.missing[kind] == nil {
		s.kinds = append(s.kinds, kind)
	}
	s.missing[kind] = append(s.missing[kind], w)
}

// settings reads a topic's configs, or takes those that are known if they have not changed.
func (s *step) settings(t *controller.Topic, old *hosted) *topic {
	if old != nil && !s.all && !s.broker && !s.configs[t.Name] {
		return old.settings
	}
	settings, err := newTopic(t.Name, s.m.config, s.next.Config(controller.TopicConfig, t.Name), s.m.policy)
	if err != nil && s.m.events.BadConfig != nil {
		s.m.events.BadConfig(t.Name, err)
	}
	return settings
}

func (s *step) reconfigure(p *Partition, t *topic) {
	p.log.SetConfig(t.log)
	p.configure(t)
}

func (s *step) leaveTopic(id kafkaproto.TopicID) {
	h := s.m.topics[id]
	if h == nil {
		return
	}
	s.changed[id] = nil
	for _, p := range h.partitions {
		if p != nil {
			s.leaving = append(s.leaving, p)
		}
	}
}

// open has the engine open the missing logs, all that share a config at once.
func (s *step) open() {
	for _, cfg := range s.kinds {
		list := s.missing[cfg]
		ids := make([]kafkaproto.TopicPartition, len(list))
		for i, w := range list {
			ids[i] = w.id
		}
		logs, err := s.m.engine.CreateLogs(ids, cfg)
		if err != nil {
			s.offline(ids, err)
			s.m.later(ids, nil)
			continue
		}
		for i, w := range list {
			w.into.partitions[w.id.Partition] = s.m.newPartition(w.id, logs[i], w.into.settings)
		}
	}
}

func (s *step) offline(ids []kafkaproto.TopicPartition, err error) {
	if s.m.events.Offline != nil {
		s.m.events.Offline(ids, err)
	}
}

// publish makes the partitions findable.
func (s *step) publish() {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.image = s.next
	for id, h := range s.changed {
		if h == nil {
			delete(m.topics, id)
		} else {
			m.topics[id] = h
		}
	}
}

// follow tells each partition who leads it.
func (s *step) follow() {
	for _, t := range s.topics {
		for i, p := range s.changed[t.ID].partitions {
			if p == nil {
				continue
			}
			if part := t.Partitions[i]; part.Leader == s.m.nodeID {
				p.lead(decidedOf(part))
			} else {
				p.follow(leaderHint{part.Leader, part.LeaderEpoch})
			}
		}
	}
}

// delete lets go of the partitions that are no longer this node's. What a new image as a whole does not know is left to
// quarantine: that it was deleted is only a guess.
func (s *step) delete() {
	var ids []kafkaproto.TopicPartition
	for _, p := range s.leaving {
		part, known := s.next.Partition(p.id)
		if known {
			p.retire(notLeader, leaderHint{part.Leader, part.LeaderEpoch})
		} else {
			p.retire(kafkaproto.ErrUnknownTopicOrPartition, leaderHint{controller.NoLeader, kafkaproto.NoLeaderEpoch})
		}
		p.log.SetListener(nil)
		if known || !s.all {
			ids = append(ids, p.id)
		}
	}
	s.deleteLogs(ids)
}

func (s *step) deleteLogs(ids []kafkaproto.TopicPartition) {
	if len(ids) == 0 {
		return
	}
	if err := s.m.engine.DeleteLogs(ids...); err != nil {
		s.offline(ids, err)
		s.m.later(nil, ids)
	}
}

// quarantine puts aside the logs that a whole image gives this node no right to.
func (s *step) quarantine() {
	for _, id := range s.m.engine.Logs() {
		if part, ok := s.next.Partition(id); ok && hosts(part, s.m.nodeID) {
			continue
		}
		if err := s.m.engine.Quarantine(id); err != nil {
			s.offline([]kafkaproto.TopicPartition{id}, err)
		} else if s.m.events.Quarantined != nil {
			s.m.events.Quarantined(id)
		}
	}
}
