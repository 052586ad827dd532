package quorum

import (
	"sync"
	"time"
)

// Limits of what is said again and again: a peer that is gone, a client that calls at the wrong door.
const (
	seldomPause = 10 * time.Second
	maxSeldom   = 1024 // things to say that are remembered; beyond, all are forgotten
)

// seldom lets the same thing be said once in a while only.
type seldom struct {
	now func() time.Time

	mu   sync.Mutex
	said map[string]*saying
}

type saying struct {
	last    time.Time
	skipped int
}

// say is whether to say it now, and how often it was not since it was last said.
func (s *seldom) say(what string) (skipped int, ok bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.said[what]; one != nil {
		if now.Sub(one.last) < seldomPause {
			one.skipped++
			return 0, false
		}
		skipped = one.skipped
		one.last, one.skipped = now, 0
		return skipped, true
	}
	if s.said == nil || len(s.said) >= maxSeldom {
		s.said = map[string]*saying{}
	}
	s.said[what] = &saying{last: now}
	return 0, true
}
