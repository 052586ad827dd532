package bench

import "time"

// longestNap bounds how late the end of a load is noticed.
const longestNap = 20 * time.Millisecond

// pauseUntil returns when due, counted from start, has come. false if stop was closed before.
func pauseUntil(start time.Time, due time.Duration, stop <-chan struct{}) bool {
	for {
		select {
		case <-stop:
			return false
		default:
		}
		wait := due - time.Since(start)
		if wait <= 0 {
			return true
		}
		nap(min(wait, longestNap))
	}
}
