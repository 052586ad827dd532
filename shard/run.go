package shard

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// Who runs the loop: a goroutine of its own, or one that came with an input and is soon wanted elsewhere.
const (
	own      = false
	borrowed = true
)

// lentTurns is for how many turns a borrowed goroutine runs the loop before it hands it to one of its own.
const lentTurns = 4

// run is the loop: it takes what is queued, turn by turn, until nothing is. The caller has claimed it.
func (s *shard) run(lent bool) {
	for turns := 0; ; turns++ {
		if lent && turns == lentTurns {
			go s.run(own)
			return
		}
		s.mu.Lock()
		switch {
		case s.state == ended:
			s.mu.Unlock()
			s.clear()
			return
		case s.broken != nil:
			err := s.broken
			s.broken = nil
			s.mu.Unlock()
			s.fail(err)
			return
		case len(s.queue) == 0 && !s.ticked:
			s.running = false
			s.mu.Unlock()
			return
		}
		batch, ticked := s.queue, s.ticked
		s.queue, s.ticked, s.spare = s.spare[:0], false, nil
		s.mu.Unlock()
		if err := s.turn(batch, ticked); err != nil {
			s.fail(err)
			return
		}
		clear(batch)
		s.spare = batch[:0]
		if cap(batch) > 4096 {
			s.spare = nil
		}
	}
}

// turn gives the machine what was queued, appends what it decides, and answers or parks the answers.
func (s *shard) turn(batch []entry, ticked bool) (err error) {
	at := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			s.giveBack(batch[at:])
		}
	}()
	now := s.host.o.Env.Clock.Now()
	for at < len(batch) {
		e := batch[at]
		at++
		if err := s.handle(now, e); err != nil {
			return err
		}
		if err := s.flushIfLarge(); err != nil {
			return err
		}
	}
	if ticked { // last: what came in time may have waited here while the log took nothing
		if err := s.tick(now); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.settle(now)
	return nil
}

// giveBack puts inputs that nobody looked at back into the queue, where fail finds them.
func (s *shard) giveBack(rest []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(append([]entry(nil), rest...), s.queue...)
}

func (s *shard) handle(now time.Time, e entry) error {
	if e.done != nil && s.noRoomFor(e.input) {
		s.settled = append(s.settled, answer{need: s.next, done: e.done, err: coordinatorCode(kafkaproto.ErrKafkaStorageError)})
		return nil
	}
	var t machine.Ticket
	if e.done != nil {
		s.last++
		t = s.last
		s.tickets[t] = e.done
	}
	if e.marker != nil {
		return s.mark(now, t, e.marker)
	}
	s.current = t // fail looks at it
	err := s.take(now, s.machine.Step(now, t, e.input))
	if err == nil {
		s.current = 0
	}
	return err
}

// noRoomFor tells whether there is no use in asking the machine: see Options.Writes.
func (s *shard) noRoomFor(input any) bool {
	writes := s.host.o.Writes
	return writes != nil && input != nil && writes(input) && s.part.Full()
}

// take does what a machine has decided: records are gathered and replayed, answers noted, timers set.
func (s *shard) take(now time.Time, r machine.Result[machine.Record]) error {
	if len(r.Sends) > 0 {
		return errSends
	}
	p := machine.NoProducer
	if r.Producer != nil {
		p = *r.Producer
	}
	for records := r.Records; len(records) > 0; {
		part := records
		if r.Loose {
			part = firstPart(records)
		}
		if err := s.write(now, part, p); err != nil {
			return err
		}
		if records = records[len(part):]; len(records) > 0 {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	for _, reply := range r.Replies {
		s.reply(reply.Ticket, reply.Value, reply.Err)
	}
	for _, t := range r.Timers {
		s.timers.set(t.Key, t.At)
	}
	return nil
}

// write gathers records that belong together, and replays them.
func (s *shard) write(now time.Time, records []machine.Record, p machine.Producer) error {
	if err := s.out.add(records, p, kafkaproto.Timestamp(now.UnixMilli())); err != nil {
		return err
	}
	for _, rec := range records {
		if err := s.machine.Replay(int64(s.next), p, rec); err != nil {
			return fmt.Errorf("replaying a record that was just decided: %w", err)
		}
		s.next++
	}
	return nil
}

// reply notes an answer. A ticket that is unknown was answered before, or belongs to an input without an answer.
func (s *shard) reply(t machine.Ticket, value any, err error) {
	done, ok := s.tickets[t]
	if !ok {
		return
	}
	delete(s.tickets, t)
	s.settled = append(s.settled, answer{need: s.next, done: done, value: value, err: err})
}

// mark appends a marker by itself, behind all that was decided before.
func (s *shard) mark(now time.Time, t machine.Ticket, m *marker) error {
	if err := s.flush(); err != nil {
		return err
	}
	kind := kafkaproto.ControlAbort
	if m.commit {
		kind = kafkaproto.ControlCommit
	}
	b := kafkaproto.ControlBatch(kind, kafkaproto.ProducerID(m.producer.ID), kafkaproto.ProducerEpoch(m.producer.Epoch),
		m.coordinatorEpoch, kafkaproto.Timestamp(now.UnixMilli()))
	at := s.next
	s.next++
	if err := s.append(b, at); err != nil {
		if code := kafkaproto.Code(err); code == kafkaproto.ErrTransactionCoordinatorFenced.Num || code == kafkaproto.ErrInvalidProducerEpoch.Num {
			s.next = at // the log has refused it for what it is: nothing has changed
			s.reply(t, nil, err)
			return nil
		}
		return err
	}
	s.machine.ReplayMarker(int64(at), m.producer, m.commit)
	s.reply(t, nil, nil)
	return nil
}

func (s *shard) flushIfLarge() error {
	if s.out.bytes() < batchBytes {
		return nil
	}
	return s.flush()
}

// flush appends what was gathered.
func (s *shard) flush() error {
	if s.out.empty() {
		return nil
	}
	data, records, steps, err := s.out.take()
	if err != nil {
		return err
	}
	if err := s.append(data, s.next-kafkaproto.Offset(records)); err != nil {
		return err
	}
	if f := s.host.o.Events.Appended; f != nil {
		f(int32(s.id.Partition), records, steps)
	}
	return nil
}

// append gives batches to the log, which are to get the offsets from base to s.next.
func (s *shard) append(data []byte, base kafkaproto.Offset) error {
	life := s.life
	got, next, err := s.part.AppendRecords(partition.CoordinatorAppend{Records: data, Epoch: s.epoch, Written: func(err error) {
		if err != nil {
			s.lost(life, base, err)
		}
		freeBuffer(data)
	}})
	if err != nil {
		freeBuffer(data)
		return err
	}
	if got != base || next != s.next {
		return fmt.Errorf("%w (at %d to %d, and not %d to %d)", errOutOfStep, got, next, base, s.next)
	}
	return nil
}

// settle answers what is due at the end of a turn, parks the rest, and sets the alarm.
func (s *shard) settle(now time.Time) {
	due := s.due()
	s.mu.Lock()
	// Records that the log could not write may be among these: the offsets that the answers wait for will be others'.
	void := s.broken != nil || s.state == ended
	if !void {
		for _, a := range s.settled[due:] {
			a.deadline = now.Add(s.host.o.CommitTimeout)
			s.parked = append(s.parked, a)
		}
	}
	parked := len(s.settled) - due
	s.mu.Unlock()
	if void {
		return // fail or clear, which is next, tells them
	}
	for i := range s.settled[:due] {
		a := &s.settled[i]
		done := a.done
		a.done = nil
		done(a.value, a.err)
	}
	clear(s.settled)
	if s.settled = s.settled[:0]; cap(s.settled) > 4096 {
		s.settled = nil
	}
	if parked > 0 {
		s.moved()
	}
	s.setAlarm(now)
}

// due counts the answers of the turn that need not wait. They are in the order of what they wait for.
func (s *shard) due() int {
	n := len(s.settled)
	if planted.Is(planted.AnswersEarly) {
		return n
	}
	if n > 0 && s.settled[n-1].need > s.high {
		if high, err := s.part.Committed(s.epoch); err == nil {
			s.high = max(s.high, high)
		}
		for n > 0 && s.settled[n-1].need > s.high {
			n--
		}
	}
	return n
}
