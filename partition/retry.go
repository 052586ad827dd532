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
	placed map[kafkaproto.TopicPartition]*Dir // logs that could not be opened, and where they belong
	delete []kafkaproto.TopicPartition
	clear  []kafkaproto.TopicPartition // logs that have moved, and are still where they were
	timer  env.Timer                   // nil while nothing is undone
}

// later has a log opened again that a directory could not open. Nothing heals one that has failed.
func (m *Manager) later(id kafkaproto.TopicPartition, d *Dir) {
	u := &m.undone
	if u.placed == nil {
		u.placed = make(map[kafkaproto.TopicPartition]*Dir)
	}
	u.placed[id] = d
	u.schedule(m)
}

// deleteLater has logs deleted again that could not be.
func (m *Manager) deleteLater(ids []kafkaproto.TopicPartition) {
	m.undone.delete = append(m.undone.delete, ids...)
	m.undone.schedule(m)
}

// clearLater deletes again what a log that has moved has left behind. Where that directory has failed, a start sees to it.
func (m *Manager) clearLater(id kafkaproto.TopicPartition, err error) {
	if m.events.Offline != nil {
		m.events.Offline([]kafkaproto.TopicPartition{id}, kafkaproto.ErrKafkaStorageError.With("it has moved, but what was left behind could not be deleted: %w", err))
	}
	if m.shadows[id].Failed() == nil {
		m.undone.clear = append(m.undone.clear, id)
		m.undone.schedule(m)
	}
}

func (u *undone) schedule(m *Manager) {
	if u.timer == nil {
		u.timer = m.env.Clock.AfterFunc(retryAfter, m.retry)
	}
}

// retry is the timer's.
func (m *Manager) retry() {
	m.applying.Lock()
	defer m.applying.Unlock()
	u := m.undone
	m.undone = undone{placed: u.placed}
	if m.closed {
		return
	}
	s := newStep(m, m.image, controller.Changes{})
	for _, id := range slices.SortedFunc(maps.Keys(u.placed), compareIDs) {
		if t, ok := m.image.TopicByID(id.Topic); ok {
			s.topic(t)
		}
	}
	m.undone.placed = nil
	s.open()
	s.publish()
	s.follow()
	s.tellLost()
	s.deleteLogs(slices.DeleteFunc(u.delete, func(id kafkaproto.TopicPartition) bool {
		p, ok := m.image.Partition(id)
		return ok && hosts(p, m.nodeID) // it has come back
	}))
	for _, id := range u.clear {
		if p, err := m.Partition(id); err == nil && p.moving() == nil {
			if err := m.clearShadow(id); err != nil {
				m.clearLater(id, err)
			}
		}
	}
}
