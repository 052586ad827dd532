package broker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostErrands is how many errands a goroutine runs that has promised to: more of them are better run side by side.
	mostErrands = 4
	// leastWorkers is to how many goroutines the rest goes on a small machine; elsewhere one for each processor. Errands wait for
	// nothing, so more would not help.
	leastWorkers = 4
)

// errands are what is to be done when a partition has moved: to look at the fetches that wait for it, and to write answers that
// have become ready. Who moves a partition holds locks and must not do it. A goroutine for each costs a stack that has to grow and,
// where there is little to do, the waking of a thread, which is most of the latency then. So a few goroutines stay for them; and a
// connection's goroutine that is about to move a partition promises to run, when it is done, what has come up.
type errands struct {
	mu       sync.Mutex
	wake     sync.Cond // on mu
	jobs     []errand
	next     int // of jobs
	promised int
	idle     int // workers that wait and have not been woken
	workers  int
	closed   bool
}

// errand is run once, on a goroutine with other things to do: it must not wait for the network.
type errand func()

// run has an errand run soon. It never blocks.
func (s *errands) run(job errand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, job)
	if s.promised == 0 {
		s.more()
	}
}

// more has another worker run errands. The lock is held.
func (s *errands) more() {
	if s.idle > 0 {
		s.idle--
		s.wake.Signal()
	} else if s.workers < max(leastWorkers, runtime.GOMAXPROCS(0)) {
		s.workers++
		go s.work()
	}
}

// take is the next errand, nil if there is none. The lock is held.
func (s *errands) take() errand {
	if s.next == len(s.jobs) {
		return nil
	}
	job := s.jobs[s.next]
	s.jobs[s.next] = nil
	if s.next++; s.next == len(s.jobs) {
		s.next = 0
		if s.jobs = s.jobs[:0]; cap(s.jobs) > 1024 {
			s.jobs = nil
		}
	}
	return job
}

// promise: the caller calls keep very soon, and waits for nothing before.
func (s *errands) promise() {
	s.mu.Lock()
	s.promised++
	s.mu.Unlock()
}

// keep runs what has come up. The caller holds no lock.
func (s *errands) keep() {
	for range mostErrands {
		s.mu.Lock()
		job := s.take()
		s.mu.Unlock()
		if job == nil {
			break
		}
		job()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.promised--; s.next < len(s.jobs) {
		s.more()
	}
}

// work runs errands until close.
func (s *errands) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake.L == nil {
		s.wake.L = &s.mu
	}
	for {
		job := s.take()
		if job == nil {
			if s.closed {
				s.workers--
				return
			}
			s.idle++
			s.wake.Wait()
			continue
		}
		s.mu.Unlock()
		job()
		s.mu.Lock()
	}
}

// close lets the workers end when there is nothing left to run. What comes later is run all the same.
func (s *errands) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.idle = true, 0
	s.wake.Broadcast()
}

const (
	paceRequests = 16
	quietPause   = 25 * time.Microsecond // between two requests, on average
)

// pace tells whether there is little to do. Only then promises are good: where the processors are busy, the goroutine that has
// promised may have to wait for one, with all that waits for it.
type pace struct {
	quiet atomic.Bool
	last  atomic.Int64 // when its last requests had come, in nanoseconds
}

// note counts the n-th request.
func (p *pace) note(n int64, now time.Time) {
	if n%paceRequests == 0 {
		at := now.UnixNano()
		p.quiet.Store(at-p.last.Swap(at) > int64(paceRequests*quietPause))
	}
}
