package bench

import "time"

const (
	// longestNap bounds how late the end of a load is noticed.
	longestNap = 20 * time.Millisecond
	// brink is how long before its time a pause stops sleeping: a thread is woken about a tenth of a millisecond late, which is a
	// fifth of what a record takes through a broker and would be counted as the broker's.
	brink = 100 * time.Microsecond
	// brinkShare bounds it as a share of the time between two requests, so that the load leaves the processors to the brokers.
	brinkShare = 8
)

// pacer has the requests of a load begin when they are due.
type pacer struct {
	start time.Time
	brink time.Duration
	stop  <-chan struct{}
}

func newPacer(start time.Time, interval time.Duration, stop <-chan struct{}) pacer {
	return pacer{start, min(brink, interval/brinkShare), stop}
}

// until returns when due, counted from start, has come. false if stop was closed before.
func (p pacer) until(due time.Duration) bool {
	for {
		select {
		case <-p.stop:
			return false
		default:
		}
		switch wait := due - time.Since(p.start); {
		case wait <= 0:
			return true
		case wait > p.brink:
			nap(min(wait-p.brink, longestNap))
		default:
			yield()
		}
	}
}
