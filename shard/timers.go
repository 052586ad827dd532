package shard

import (
	"container/heap"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// timers are what a machine has asked for. A timer that is set to a later time stays where it is in the heap, and is put
// right when its old time has come: heartbeats move their timer each time, and it nearly never fires.
type timers struct {
	byKey map[string]*timer
	heap  timerHeap
}

type timer struct {
	key  string
	want time.Time // when it fires; zero: never, and it goes when its place in the heap comes up
	at   time.Time // its place in the heap, never after want
	pos  int
}

func (t *timers) set(key string, at time.Time) {
	e := t.byKey[key]
	if at.IsZero() {
		if e != nil {
			heap.Remove(&t.heap, e.pos)
			delete(t.byKey, key)
		}
		return
	}
	if e == nil {
		if t.byKey == nil {
			t.byKey = make(map[string]*timer)
		}
		e = &timer{key: key, want: at, at: at}
		t.byKey[key] = e
		heap.Push(&t.heap, e)
		return
	}
	e.want = at
	if at.Before(e.at) {
		e.at = at
		heap.Fix(&t.heap, e.pos)
	}
}

// due takes out a timer whose time has come.
func (t *timers) due(now time.Time) (key string, ok bool) {
	for len(t.heap) > 0 && !t.heap[0].at.After(now) {
		e := t.heap[0]
		if e.want.After(now) {
			e.at = e.want
			heap.Fix(&t.heap, 0)
			continue
		}
		heap.Pop(&t.heap)
		delete(t.byKey, e.key)
		return e.key, true
	}
	return "", false
}

// first is when the next look is due; zero: never.
func (t *timers) first() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].at
}

// timerHeap is a container/heap by time.
type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *timerHeap) Push(x any) {
	e := x.(*timer)
	e.pos = len(*h)
	*h = append(*h, e)
}
func (h *timerHeap) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	return e
}

// alarm is the one timer of a shard: for the first of its machine's timers, or for answers that wait too long.
type alarm struct {
	timer env.Timer
	at    time.Time // zero: it is not set
}

// setAlarm sets the alarm to the first of the machine's timers, or to when the first of the answers that wait has waited
// too long. One that is set to an earlier time stays: when it goes off it is set anew.
func (s *shard) setAlarm(now time.Time) {
	at := s.timers.first()
	s.mu.Lock()
	if len(s.parked) > 0 && (at.IsZero() || s.parked[0].deadline.Before(at)) {
		at = s.parked[0].deadline
	}
	s.mu.Unlock()
	if at.IsZero() || !s.alarm.at.IsZero() && !at.Before(s.alarm.at) {
		return
	}
	s.alarm.at = at
	wait := max(at.Sub(now), 0)
	if s.alarm.timer == nil {
		s.alarm.timer = s.host.o.Env.Clock.AfterFunc(wait, s.ring)
	} else {
		s.alarm.timer.Reset(wait)
	}
}

// ring is the alarm's, in a goroutine of its own.
func (s *shard) ring() {
	s.mu.Lock()
	run := s.state == active && !s.ticked
	if run {
		s.ticked = true
		run = s.claim()
	}
	s.mu.Unlock()
	if run {
		s.run(own)
	}
}

// tick fires the timers that are due and ends the answers that have waited too long.
func (s *shard) tick(now time.Time) error {
	s.alarm.at = time.Time{}
	s.expire(now)
	for {
		key, ok := s.timers.due(now)
		if !ok {
			return nil
		}
		if err := s.take(now, s.machine.Step(now, 0, s.host.o.Timer(key))); err != nil {
			return err
		}
		if err := s.flushIfLarge(); err != nil {
			return err
		}
	}
}

// expire tells those whose answers wait for the high watermark that it did not come in time. What they asked for stays in
// the log and may still be committed, as in Kafka.
func (s *shard) expire(now time.Time) {
	s.mu.Lock()
	n := 0
	for n < len(s.parked) && !s.parked[n].deadline.After(now) {
		n++
	}
	late := s.parked[:n:n]
	s.parked = s.parked[n:]
	s.mu.Unlock()
	refuse(late, kafkaproto.ErrCoordinatorNotAvailable.With("the records were not committed within %v", s.host.o.CommitTimeout))
}
