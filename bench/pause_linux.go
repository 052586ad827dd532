package bench

import (
	"syscall"
	"time"
)

// nap sleeps for d as exactly as the kernel can. The runtime's timers come up to a millisecond late, which is more than many
// of the latencies that are measured here.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0)
	_ = syscall.Nanosleep(&ts, nil) // an early end is noticed by who looks at the clock
}

// yield lets another thread have the processor, if one waits for it.
func yield() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
