//go:build clockstep

package env

import (
	"testing"
	"time"
)

func TestAStepMovesTheWallClockAlone(t *testing.T) {
	before := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 3 * time.Millisecond} {
		stepped := step(before, by)
		if d := stepped.Sub(before); d != 0 {
			t.Errorf("a step by %v moves the monotonic clock by %v", by, d)
		}
		if d := stepped.Round(0).Sub(before.Round(0)); d != by {
			t.Errorf("a step by %v moves the wall clock by %v", by, d)
		}
	}
}
