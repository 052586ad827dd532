package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps for d as exactly as the kernel can. The runtime's timers come up to a millisecond late, which is more than many
// of the latencies that are measured here.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // an early end is noticed by who looks at the clock
}
