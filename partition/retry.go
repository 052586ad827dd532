package partition

import (
	"maps"
	"slices"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// retryAfter is when the engine is asked again for what it could not do, as on a disk without any room.
const retryAfter = time.Second

// undone is what the engine could not do. Manager.applying guards it.
type undone struct {
	topics map[kafkaproto.TopicID]bool // have logs that could not be opened
	delete []kafkaproto.TopicPartition
	timer  env.Timer // nil while nothing is undone
}

// later notes what is to be tried again. Nothing heals a directory that has failed.
func (m *Manager) later(topics []kafkaproto.TopicPartition, deletions []kafkaproto.TopicPartition) {
	if m.engine.Failed() != nil {
		return
	}
	u := &m.undone
	for _, id := range topics {
		if u.topics == nil {
			u.topics = make(map[kafkaproto.TopicID]bool)
		}
		u.topics[id.Topic] = true
	}
	u.delete = append(u.delete, deletions...)
	if u.timer == nil {
		u.timer = m.env.Clock.AfterFunc(retryAfter, m.retry)
	}
}

// retry is the timer's.
func (m *Manager) retry() {
	m.applying.Lock()
	defer m.applying.Unlock()
	u := m.undone
	m.undone = undone{}
	if m.closed {
		return
	}
	s := newStep(m, m.image, controller.Changes{})
	for _, id := range slices.SortedFunc(maps.Keys(u.topics), compareTopics) {
		if t, ok := m.image.TopicByID(id); ok {
			s.topic(t)
		}
	}
	s.open()
	s.publish()
	s.follow()
	s.deleteLogs(slices.DeleteFunc(u.delete, func(id kafkaproto.TopicPartition) bool {
		p, ok := m.image.Partition(id)
		return ok && hosts(p, m.nodeID) // it has come back
	}))
}
