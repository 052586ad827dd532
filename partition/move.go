package partition

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// move is a partition on its way to another directory: its log is copied there, as a follower would, and then takes over.
type move struct {
	p     *Partition
	to    *Dir
	log   *log.Log      // the copy
	moved chan struct{} // has room for one: the partition's log has moved
	ctx   context.Context
	stop  context.CancelFunc

	mu  sync.Mutex
	cut kafkaproto.Offset // where the log was cut that is copied, until the copy is; else -1
}

// movers copy logs from one directory to another: one goroutine for each directory that logs are moved to, one log after the
// other.
type movers struct {
	m *Manager

	mu      sync.Mutex // taken last
	waiting map[*Dir][]*move
	running map[*Dir]bool
	closed  bool
	ended   sync.WaitGroup
}

func (q *movers) add(v *move) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if q.waiting == nil {
		q.waiting, q.running = map[*Dir][]*move{}, map[*Dir]bool{}
	}
	q.waiting[v.to] = append(q.waiting[v.to], v)
	if !q.running[v.to] {
		q.running[v.to] = true
		q.ended.Go(func() { q.run(v.to) })
	}
}

func (q *movers) take(d *Dir) *move {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting[d]
	if q.closed || len(list) == 0 {
		q.running[d] = false
		return nil
	}
	q.waiting[d] = list[1:]
	return list[0]
}

func (q *movers) run(d *Dir) {
	for v := q.take(d); v != nil; v = q.take(d) {
		err := v.run()
		if err == nil || v.ctx.Err() != nil || d.Failed() != nil || v.p.Dir().Failed() != nil {
			continue
		}
		if f := q.m.events.Offline; f != nil {
			f([]kafkaproto.TopicPartition{v.p.id}, kafkaproto.ErrReplicaNotAvailable.With("it could not be moved to %s yet: %w", d.Path, err))
		}
		if errors.Is(err, log.ErrCorrupt) || errors.Is(err, kafkaproto.ErrCorruptMessage) {
			q.m.suspects.add(v.p, v.log.Ends().Next)
		}
		q.m.pause(retryAfter)
		q.add(v)
	}
}

func (q *movers) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ended.Wait()
}

// mostPreferred bounds what is remembered of directories for partitions that are not here yet.
const mostPreferred = 10000

// MoveReplica begins to move the replica of a partition to another directory, named by its absolute path. It ends a move to a
// third one; to where the replica is, it does nothing more. For a partition that is not here yet the directory is
// remembered, until the node ends.
//
// Errors, as in Kafka: LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR (that directory, that of the replica, or where a copy would
// have to be made any directory is offline), REPLICA_NOT_AVAILABLE (not here).
func (m *Manager) MoveReplica(topic string, id kafkaproto.PartitionID, path string) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	i := slices.IndexFunc(m.dirs, func(d *Dir) bool { return d.Absolute() == path })
	if i < 0 {
		return kafkaproto.ErrLogDirNotFound
	}
	to := m.dirs[i]
	if err := to.Failed(); err != nil {
		return err
	}
	t, known := m.image.Topic(topic)
	if !known {
		return m.prefer(topic, id, to)
	}
	p, err := m.Partition(kafkaproto.TopicPartition{Topic: t.ID, Partition: id})
	switch {
	case errors.Is(err, kafkaproto.ErrKafkaStorageError):
		return err
	case err != nil:
		return m.prefer(topic, id, to)
	}
	if err := p.Dir().Failed(); err != nil || m.closed {
		return kafkaproto.ErrKafkaStorageError
	}
	if v := p.moving(); v != nil {
		if v.to == to {
			return nil
		}
		if err := m.endMove(p); err != nil {
			return storageError(err)
		}
	}
	if p.Dir() == to {
		return nil
	}
	for _, d := range m.dirs {
		if err := d.Failed(); err != nil {
			return err
		}
	}
	if err := m.beginMove(p, to); err != nil {
		return storageError(err)
	}
	return nil
}

type wanted struct {
	topic     string
	partition kafkaproto.PartitionID
}

// prefer remembers where a replica is to be made. applying is held.
func (m *Manager) prefer(topic string, id kafkaproto.PartitionID, d *Dir) error {
	if len(m.wanted) < mostPreferred {
		m.wanted[wanted{topic, id}] = d
	}
	return kafkaproto.ErrReplicaNotAvailable
}

// preferred is where a new replica was asked to be, nil if nowhere.
func (s *step) preferred(id kafkaproto.TopicPartition) *Dir {
	if len(s.m.wanted) == 0 {
		return nil
	}
	t, ok := s.next.TopicByID(id.Topic)
	if !ok {
		return nil
	}
	w := wanted{t.Name, id.Partition}
	d := s.m.wanted[w]
	delete(s.m.wanted, w)
	return d
}

// beginMove makes the copy, still empty, and has it filled. applying is held.
func (m *Manager) beginMove(p *Partition, to *Dir) error {
	if m.shadows[p.id] != nil {
		if err := m.clearShadow(p.id); err != nil {
			return err
		}
	}
	if to.holds(p.id) { // in quarantine
		if err := deleteForGood(to, p.id); err != nil {
			return err
		}
	}
	if err := to.Directory.BeginMove(p.id); err != nil {
		return err
	}
	m.shadows[p.id] = to
	return m.resumeMove(p, to)
}

// resumeMove fills the copy that there is. applying is held.
func (m *Manager) resumeMove(p *Partition, to *Dir) error {
	// Nothing is to be cut off at the copy's start before it has taken over.
	cfg := log.LogConfig{Policy: p.topic.Load().log.Policy, FlushInterval: p.topic.Load().log.FlushInterval}
	l, err := to.Engine.CreateLog(p.id, cfg)
	if err != nil {
		return errors.Join(err, m.clearShadow(p.id))
	}
	if l.Ends().Start > p.log().Ends().Next { // the log has lost what an earlier process had copied
		if err = deleteForGood(to, p.id); err == nil {
			l, err = to.Engine.CreateLog(p.id, cfg)
		}
		if err != nil {
			return errors.Join(err, m.clearShadow(p.id))
		}
	}
	v := &move{p: p, to: to, log: l, moved: make(chan struct{}, 1), cut: kafkaproto.NoOffset}
	v.ctx, v.stop = context.WithCancel(m.ctx)
	p.mu.Lock()
	p.move = v
	p.mu.Unlock()
	m.movers.add(v)
	return nil
}

// endMove gives a move up, if there is one, with what was copied. applying is held.
func (m *Manager) endMove(p *Partition) error {
	v := p.moving()
	if v == nil {
		return nil
	}
	v.stop()
	p.mu.Lock()
	p.move = nil
	p.mu.Unlock()
	return m.clearShadow(p.id)
}

// clearShadow deletes a log that does not count, and then the note that says so. applying is held.
func (m *Manager) clearShadow(id kafkaproto.TopicPartition) error {
	d := m.shadows[id]
	if d == nil {
		return nil
	}
	if d.holds(id) {
		if err := deleteForGood(d, id); err != nil {
			return err
		}
	}
	for _, o := range m.dirs {
		if o.Failed() != nil {
			continue
		}
		if err := o.Directory.EndMove(id); err != nil {
			return err
		}
	}
	delete(m.shadows, id)
	return nil
}

// resumeMoves goes on with the moves that the last process has begun. applying is held.
func (m *Manager) resumeMoves() {
	for _, id := range slices.SortedFunc(maps.Keys(m.shadows), compareIDs) {
		p, err := m.Partition(id)
		if d := m.shadows[id]; err == nil && d.Failed() == nil && p.Dir() != d {
			if err := m.resumeMove(p, d); err != nil && m.events.Offline != nil {
				m.events.Offline([]kafkaproto.TopicPartition{id}, err)
			}
		}
	}
}

func (p *Partition) moving() *move {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.move
}

// Moving is where a partition is being moved to, how many bytes are there, and how many offsets are still to be copied.
func (p *Partition) Moving() (to *Dir, size, lag int64, ok bool) {
	v := p.moving()
	if v == nil {
		return nil, 0, 0, false
	}
	return v.to, v.log.Size(), max(0, int64(p.log().Ends().Next-v.log.Ends().Next)), true
}

// truncate cuts the partition's log, and its copy too.
func (p *Partition) truncate(to kafkaproto.Offset) error {
	if err := p.log().Truncate(to); err != nil {
		return err
	}
	if v := p.moving(); v != nil {
		end := p.log().Ends().Next
		v.mu.Lock()
		if v.cut < 0 || end < v.cut {
			v.cut = end
		}
		v.mu.Unlock()
		signalOne(v.moved)
	}
	return nil
}
