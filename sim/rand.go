package sim

import "time"

// Randomness comes in streams: one for each node and purpose. What two goroutines of the product ask for in either order is
// then the same, and a change of the simulator in one place leaves the rest of a seed's run much as it was.

type stream uint8

const (
	streamPlan stream = iota
	streamDisk
	streamSync
	streamNet
	streamQuorum
	streamFault
	streamClient
	streamEnv
	streamCrash
	streamCheck
)

type streamKey struct {
	stream stream
	who    int32
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw is the next number of a stream. Any goroutine may call it.
func (s *Sim) draw(st stream, who int32) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := streamKey{st, who}
	n := s.counts[k]
	s.counts[k] = n + 1
	return mix(mix(s.plan.seed^uint64(st)<<56^uint64(uint32(who))<<20) + n)
}

// dice is a stream at hand.
type dice struct {
	s   *Sim
	st  stream
	who int32
}

// Uint64 makes dice a source of package math/rand/v2.
func (d dice) Uint64() uint64 { return d.s.draw(d.st, d.who) }

// below is a number from 0 to n-1.
func (d dice) below(n int) int {
	if n <= 1 {
		return 0
	}
	return int(d.Uint64() % uint64(n))
}

// percent is true in p of a hundred cases.
func (d dice) percent(p int) bool { return d.below(100) < p }

// between is a duration from lo to hi.
func (d dice) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(d.Uint64()%uint64(hi-lo))
}

// latency is a duration that is mostly near lo and seldom near hi.
func (d dice) latency(lo, hi time.Duration) time.Duration {
	x := float64(d.Uint64()>>11) / (1 << 53)
	x *= x
	return lo + time.Duration(x*x*float64(hi-lo))
}
