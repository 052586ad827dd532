package shard

import (
	"context"
	"log/slog"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// What a machine has decided and the log did not take can't be taken back from the machine. So it is dropped, and made
// anew from the log: at once after the first failure, later and later after those that follow soon.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second      // where a load succeeds: one client's bad luck is not to keep others waiting
	retryLoad  = 30 * time.Second // where loads fail
	retryCalm  = time.Minute      // without a failure, after which the next is a first one again
)

// retry counts failures that follow one another.
type retry struct {
	count int
	last  time.Time
	timer interface{ Stop() bool }
}

// after notes a failure, and says how long to wait before the next try, most at the longest.
func (r *retry) after(now time.Time, most time.Duration) time.Duration {
	if r.count > 0 && now.Sub(r.last) > retryCalm {
		r.count = 0
	}
	r.last = now
	r.count++
	if r.count == 1 {
		return 0
	}
	return min(retryFirst<<min(r.count-2, 20), most)
}

// fail drops the machine and sees to it that another one is loaded. The loop is the caller's; it has given it up when
// this returns.
func (s *shard) fail(err error) {
	if s.over() {
		s.clear()
		return
	}
	most := retryMost
	if s.machine == nil {
		most = retryLoad
	}
	wait := s.retry.after(s.host.o.Env.Clock.Now(), most)
	s.tellFailed(err, wait)
	s.mu.Lock()
	if s.state != ended {
		if s.state = loading; wait > 0 {
			s.state = failing
		}
	}
	s.broken, s.ticked = nil, false
	s.life++
	s.mu.Unlock()
	s.reset(err)
	if wait == 0 {
		go s.load()
		return
	}
	s.retryLater(wait)
}

func (s *shard) tellFailed(err error, wait time.Duration) {
	level := slog.LevelError
	if coordinatorCode(err) == kafkaproto.ErrNotCoordinator {
		level = slog.LevelWarn // the leadership has gone, and the metadata that says so is on its way
	}
	s.host.log.Log(context.Background(), level, "coordinator failed and is loaded anew", "topic", s.host.o.Topic,
		"partition", int32(s.id.Partition), "epoch", int32(s.epoch), "in", wait, "error", err)
	if f := s.host.o.Events.Failed; f != nil {
		f(int32(s.id.Partition), err)
	}
}

// retryLater gives the loop up until the time has passed, or the shard ends.
func (s *shard) retryLater(wait time.Duration) {
	s.mu.Lock()
	if s.state == ended {
		s.mu.Unlock()
		s.clear()
		return
	}
	s.running = false
	s.retry.timer = s.host.o.Env.Clock.AfterFunc(wait, func() {
		s.mu.Lock()
		again := s.state == failing && !s.running
		if again {
			s.state, s.running = loading, true
		}
		s.mu.Unlock()
		if again {
			s.load()
		}
	})
	s.mu.Unlock()
}

// reset forgets the machine with all that belongs to it. Those who wait for it are told: the input at fault that it was,
// those whose records were not taken why, the rest that they have to come again.
func (s *shard) reset(err error) {
	told := coordinatorCode(err)
	if told == kafkaproto.ErrUnknownServerError && s.current != 0 {
		told = kafkaproto.ErrNotCoordinator
	}
	settled := s.settled
	s.settled = nil
	refuse(settled, told)
	for t, done := range s.tickets {
		if t == s.current {
			done(nil, kafkaproto.ErrUnknownServerError)
		} else {
			done(nil, kafkaproto.ErrNotCoordinator)
		}
	}
	s.machine, s.tickets, s.current = nil, nil, 0
	s.out.forget()
	s.timers = timers{}
	if s.alarm.timer != nil {
		s.alarm.timer.Stop()
	}
	s.alarm.at = time.Time{}
	s.requeue()
}

// requeue keeps what needs no answer for the next machine, and has the rest come again.
func (s *shard) requeue() {
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	why := s.serving()
	for _, e := range queue {
		if e.done == nil && s.state != ended {
			s.queue = append(s.queue, e)
		}
	}
	s.mu.Unlock()
	for _, e := range queue {
		if e.done != nil {
			e.done(nil, why)
		}
	}
}

// clear ends a shard for good: nothing of it is kept, and the loop is never given up again.
func (s *shard) clear() {
	if s.part != nil {
		s.part.Unwait(s.waiter)
	}
	if s.retry.timer != nil {
		s.retry.timer.Stop()
	}
	s.reset(kafkaproto.ErrNotCoordinator)
	s.mu.Lock()
	parked := s.parked
	s.parked = nil
	s.mu.Unlock()
	refuse(parked, kafkaproto.ErrNotCoordinator)
	s.host.living.Done()
}

// lost is the log's word that it could not write records which it had taken, from base on. Their answers, and those that
// rely on them, must go before the offsets are given to others.
func (s *shard) lost(life uint64, base kafkaproto.Offset, err error) {
	s.mu.Lock()
	keep := 0
	for keep < len(s.parked) && s.parked[keep].need <= base {
		keep++
	}
	gone := s.parked[keep:]
	s.parked = s.parked[:keep:keep]
	if s.life == life && s.broken == nil && s.state != ended {
		s.broken = err
		s.wake()
	}
	s.mu.Unlock()
	refuse(gone, coordinatorCode(err).With("%w", plain{err}))
}
