package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

// unwrittenPause is after how long a load looks again for records that an earlier life of the shard has given to the log
// and that the log has not written yet, if nobody tells it before.
const unwrittenPause = time.Millisecond

var errEnded = errors.New("the shard has ended")

// start begins the life of a shard. Where there is nothing to load, which is usual, it costs no goroutine.
func (s *shard) start() {
	if err := s.find(); err == nil {
		if ends, err := s.part.LogEnds(s.epoch); err == nil && ends.Start == ends.Next {
			s.load()
			return
		}
	}
	go s.load()
}

// load reads the log into a new machine and goes on with the loop, which is the caller's.
func (s *shard) load() {
	s.host.log.Debug("loading coordinator", "topic", s.host.o.Topic, "partition", int32(s.id.Partition), "epoch", int32(s.epoch))
	began := s.host.o.Env.Clock.Now()
	m, end, records, err := s.read()
	if err != nil {
		s.fail(err)
		return
	}
	s.loaded(m, end, records, began)
}

// loaded puts a machine to work.
func (s *shard) loaded(m Machine, end kafkaproto.Offset, records int, began time.Time) {
	now := s.host.o.Env.Clock.Now()
	s.machine, s.tickets = m, make(map[machine.Ticket]func(any, error))
	s.next, s.high = end, kafkaproto.NoOffset
	s.mu.Lock()
	if s.state != ended {
		s.state = active
	}
	s.mu.Unlock()
	s.tellLoaded(records, now.Sub(began))
	if err := s.begin(now); err != nil {
		s.fail(err)
		return
	}
	s.run(borrowed)
}

func (s *shard) tellLoaded(records int, took time.Duration) {
	level := slog.LevelDebug
	if records > 0 {
		level = slog.LevelInfo
	}
	s.host.log.Log(context.Background(), level, "coordinator loaded", "topic", s.host.o.Topic, "partition", int32(s.id.Partition),
		"epoch", int32(s.epoch), "records", records, "took", took)
	if f := s.host.o.Events.Loaded; f != nil {
		f(int32(s.id.Partition), records, took)
	}
}

// begin tells the machine that it leads.
func (s *shard) begin(now time.Time) (err error) {
	defer contain(&err)
	if err := s.take(now, s.machine.Loaded(now)); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.settle(now)
	return nil
}

// contain turns a panic of a machine into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// read replays the whole log, committed or not: what is not committed yet is what answers will wait for.
func (s *shard) read() (m Machine, at kafkaproto.Offset, records int, err error) {
	defer contain(&err)
	if err := s.find(); err != nil {
		return nil, 0, 0, err
	}
	ends, err := s.part.LogEnds(s.epoch)
	if err != nil {
		return nil, 0, 0, err
	}
	if at = ends.Start; at < ends.Next {
		s.host.loads <- struct{}{}
		defer func() { <-s.host.loads }()
	}
	r := replayer{m: s.host.o.New(int32(s.id.Partition))}
	for {
		if s.over() {
			return nil, 0, 0, errEnded
		}
		if ends, err = s.part.LogEnds(s.epoch); err != nil {
			return nil, 0, 0, err
		}
		at = max(at, ends.Start)
		switch {
		case at >= ends.Next:
			return r.m, at, r.records, nil
		case at >= ends.Written:
			s.awaitWritten(at)
		default:
			if at, err = s.readFrom(&r, at); err != nil {
				return nil, 0, 0, err
			}
		}
	}
}

// find looks the partition up where that did not succeed before.
func (s *shard) find() error {
	if s.part != nil {
		return nil
	}
	part, err := s.host.o.Partitions.Partition(s.id)
	if err != nil {
		return fmt.Errorf("%w: %w", errNowhere, err)
	}
	s.part, s.waiter = part, partition.NewWaiter(s.moved)
	part.Wait(s.waiter) // until the shard ends: a machine that is dropped leaves answers that still wait
	return nil
}

func (s *shard) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == ended
}

// awaitWritten waits until the log is written further than at.
func (s *shard) awaitWritten(at kafkaproto.Offset) {
	news := make(chan struct{}, 1)
	w := partition.NewWaiter(func() { news <- struct{}{} })
	s.part.Wait(w)
	defer s.part.Unwait(w)
	if ends, err := s.part.LogEnds(s.epoch); err != nil || ends.Written > at || ends.Next <= at {
		return
	}
	t := s.host.o.Env.Clock.NewTimer(unwrittenPause)
	defer t.Stop()
	select {
	case <-t.C():
	case <-news:
	}
}

// readFrom replays one read's worth, and returns where the next one begins.
func (s *shard) readFrom(r *replayer, at kafkaproto.Offset) (kafkaproto.Offset, error) {
	read, err := s.part.ReadLog(s.epoch, at, s.host.o.LoadBytes, &r.cursor)
	if err != nil {
		return at, err
	}
	defer read.Release()
	if r.buf, err = read.Append(r.buf[:0]); err != nil {
		return at, err
	}
	if err := r.replay(r.buf, at); err != nil {
		return at, err
	}
	if read.Next <= at {
		return at, fmt.Errorf("nothing can be read at offset %d", at)
	}
	return read.Next, nil
}

// replayer gives what was read to a machine.
type replayer struct {
	m       Machine
	records int
	buf     []byte
	cursor  log.Cursor
}

// replay goes through whole batches, and leaves out records below from.
func (r *replayer) replay(buf []byte, from kafkaproto.Offset) error {
	for len(buf) > 0 {
		b, rest, err := kafkaproto.NextBatch(buf)
		if err != nil {
			return err
		}
		if err := b.CheckCRC(); err != nil {
			return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
		}
		buf = rest
		if b.IsControl() {
			err = r.marker(b)
		} else {
			err = r.batch(b, from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replayer) marker(b kafkaproto.Batch) error {
	kind, _, err := b.ControlType()
	if err != nil {
		return fmt.Errorf("marker at offset %d: %w", b.BaseOffset(), err)
	}
	if kind == kafkaproto.ControlCommit || kind == kafkaproto.ControlAbort {
		r.m.ReplayMarker(int64(b.BaseOffset()), producerOf(b), kind == kafkaproto.ControlCommit)
	}
	return nil
}

func (r *replayer) batch(b kafkaproto.Batch, from kafkaproto.Offset) error {
	p := machine.NoProducer
	if b.IsTransactional() {
		p = producerOf(b)
	}
	return kafkaproto.Records(b, func(rec kafkaproto.Record) error {
		if rec.Offset < from {
			return nil
		}
		r.records++
		if err := r.m.Replay(int64(rec.Offset), p, machine.Record{Key: rec.Key, Value: rec.Value}); err != nil {
			return fmt.Errorf("record at offset %d: %w", rec.Offset, err)
		}
		return nil
	})
}

func producerOf(b kafkaproto.Batch) machine.Producer {
	return machine.Producer{ID: int64(b.ProducerID()), Epoch: int16(b.ProducerEpoch())}
}
