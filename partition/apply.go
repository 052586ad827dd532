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
	if !m.applied {
		s.settle()
	}
	s.find(c)
	s.open()
	s.publish()
	s.follow()
	s.delete()
	if c.All {
		s.quarantine()
	}
	s.tellLost()
	if !m.applied {
		m.resumeMoves()
	}
	m.applied = true
}

// step is one Apply: what it finds to do, collected first, so that the engine is asked for many logs at once.
type step struct {
	m       *Manager
	next    *controller.Image
	all     bool                               // the image is a new one as a whole
	broker  bool                               // what is set on brokers has changed, so topics' defaults may have
	configs map[string]bool                    // names of topics whose configs have changed
	topics  []*controller.Topic                // to bring up to date
	changed map[kafkaproto.TopicID]*hosted     // what replaces the manager's; nil for what goes
	missing map[kind][]missing                 // logs to open
	kinds   []kind                             // of missing, in the order in which they came up
	counts  map[*Dir]int                       // logs in each directory, once a new one had to be placed
	anew    map[kafkaproto.TopicPartition]bool // certainly nowhere yet
	lost    []kafkaproto.TopicPartition        // replicas that can't be served
	leaving []*Partition                       // no longer this node's
}

// kind is what logs have in common that the engine opens at once.
type kind struct {
	dir    *Dir
	config log.LogConfig
}

// missing is a log to open, and where its partition belongs.
type missing struct {
	id   kafkaproto.TopicPartition
	into *hosted
}

func newStep(m *Manager, next *controller.Image, c controller.Changes) *step {
	s := &step{
		m: m, next: next, all: c.All, broker: c.ConfigsOf(controller.BrokerConfig), configs: make(map[string]bool),
		changed: make(map[kafkaproto.TopicID]*hosted), missing: make(map[kind][]missing),
		anew: make(map[kafkaproto.TopicPartition]bool),
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
	d := s.place(w.id)
	if d == nil {
		s.lost = append(s.lost, w.id)
		return
	}
	k := kind{d, w.into.settings.log}
	if s.missing[k] == nil {
		s.kinds = append(s.kinds, k)
	}
	s.missing[k] = append(s.missing[k], w)
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
	p.log().SetConfig(t.log)
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

// open has the engines open the missing logs, all that share a config at once. What a directory has not begun that fails
// meanwhile is begun in another.
func (s *step) open() {
	for i := 0; i < len(s.kinds); i++ {
		k := s.kinds[i]
		list := s.missing[k]
		delete(s.missing, k)
		ids := make([]kafkaproto.TopicPartition, len(list))
		for i, w := range list {
			ids[i] = w.id
		}
		logs, err := k.dir.Engine.CreateLogs(ids, k.config)
		if err != nil {
			s.offline(ids, err)
			s.notOpened(list, k.dir)
			continue
		}
		for i, w := range list {
			delete(s.m.lostLogs, w.id)
			w.into.partitions[w.id.Partition] = s.m.newPartition(w.id, stored{logs[i], k.dir}, w.into.settings)
		}
	}
}

// notOpened sees to logs that a directory could not open: they are tried again there, or if it has failed in another one.
func (s *step) notOpened(list []missing, d *Dir) {
	failed := d.Failed() != nil
	for _, w := range list {
		if failed {
			s.anew[w.id] = !d.holds(w.id)
			s.want(w)
		} else {
			s.m.later(w.id, d)
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
			if p == nil || s.retireFailed(p, t.Partitions[i]) {
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
		p.log().SetListener(nil)
		s.offlineIf(p.id, s.m.endMove(p))
		if known || !s.all {
			ids = append(ids, p.id)
		}
	}
	s.deleteLogs(ids)
}

// deleteLogs deletes logs wherever they are, unless that directory has failed: a later start puts what it has into quarantine.
func (s *step) deleteLogs(ids []kafkaproto.TopicPartition) {
	for _, d := range s.m.dirs {
		here := slices.DeleteFunc(slices.Clone(ids), func(id kafkaproto.TopicPartition) bool { return !d.holds(id) })
		if len(here) == 0 || d.Failed() != nil {
			continue
		}
		if err := d.Engine.DeleteLogs(here...); err != nil {
			s.offline(here, err)
			if d.Failed() == nil {
				s.m.deleteLater(here)
			}
		}
	}
	for _, id := range ids {
		delete(s.m.lostLogs, id)
	}
}

// quarantine puts aside the logs that a whole image gives this node no right to.
func (s *step) quarantine() {
	for _, d := range s.m.dirs {
		if d.Failed() != nil {
			continue
		}
		for _, id := range d.Engine.Logs() {
			if part, ok := s.next.Partition(id); !ok || !hosts(part, s.m.nodeID) {
				s.putAside(d, id)
			}
		}
	}
}

func (s *step) putAside(d *Dir, id kafkaproto.TopicPartition) {
	if err := d.Engine.Quarantine(id); err != nil {
		s.offline([]kafkaproto.TopicPartition{id}, err)
	} else if s.m.events.Quarantined != nil {
		s.m.events.Quarantined(id)
	}
}
