package quorum

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
)

// fsm turns committed entries into images. raft calls it from one goroutine.
type fsm struct {
	image   atomic.Pointer[controller.Image]
	publish func(*controller.Image, controller.Changes)
	fatal   *fatal
	seen    atomic.Uint64 // index of the last entry that was applied or ignored
	pending atomic.Int64  // bytes of batches since the last snapshot
}

func newFSM(publish func(*controller.Image, controller.Changes), f *fatal) *fsm {
	m := &fsm{publish: publish, fatal: f}
	m.image.Store(controller.NewImage())
	return m
}

// Apply is as raft.FSM says. It answers with nil, or with controller.ErrStale for a batch that every node ignores.
func (m *fsm) Apply(l *raft.Log) any {
	defer m.seen.Store(l.Index)
	next, changes, err := m.image.Load().ApplyBatch(l.Index, l.Term, l.Data)
	if errors.Is(err, controller.ErrStale) {
		return err
	}
	if err != nil {
		m.fatal.never(err)
	}
	m.pending.Add(int64(len(l.Data)))
	m.image.Store(next)
	m.publish(next, changes)
	return nil
}

// Snapshot is as raft.FSM says; the image is immutable, so nothing has to be held.
func (m *fsm) Snapshot() (raft.FSMSnapshot, error) {
	return &fsmSnapshot{image: m.image.Load(), fsm: m}, nil
}

// Restore is as raft.FSM says.
func (m *fsm) Restore(r io.ReadCloser) error {
	img, err := controller.ReadSnapshot(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	m.pending.Store(0)
	m.image.Store(img)
	m.publish(img, controller.Changes{All: true})
	return nil
}

type fsmSnapshot struct {
	image *controller.Image
	fsm   *fsm
}

// Persist is as raft.FSMSnapshot says.
func (s *fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	s.fsm.pending.Store(0)
	if err := s.image.WriteSnapshot(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release is as raft.FSMSnapshot says.
func (s *fsmSnapshot) Release() {}
