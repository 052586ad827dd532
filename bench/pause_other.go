//go:build !linux

package bench

import (
	"runtime"
	"time"
)

func nap(d time.Duration) { time.Sleep(d) }

func yield() { runtime.Gosched() }
