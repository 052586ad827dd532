// Package env is the single door to the outside: clock, randomness, files, sockets. Production code gets an Env handed
// in and asks the machine for nothing by itself, so that tests can hold time still, hold a sync back, crash a disk or
// fill it. It never decides anything. node builds the real one (System), tests and the simulator build their own.
//
// Read this file first; fs.go has the file door that the storage engine stands on.
package env

import (
	"net"
	"time"
)

// Env is what a process has of the outside world.
type Env struct {
	Clock Clock
	Rand  Rand
	FS    FS
	Net   Net
}

// Clock tells time and wakes up.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d.
	AfterFunc(d time.Duration, f func()) Timer
	// NewTimer sends on C after d.
	NewTimer(d time.Duration) Timer
}

// Timer is a pending wake-up of a Clock. C is nil for one made by AfterFunc.
type Timer interface {
	C() <-chan time.Time
	Stop() bool
	Reset(d time.Duration) bool
}

// Rand gives random numbers; the real one is the operating system's.
type Rand interface {
	Uint64() uint64
	Read(p []byte)
}

// Net listens and dials.
type Net interface {
	Listen(network, address string) (net.Listener, error)
	Dial(network, address string, timeout time.Duration) (net.Conn, error)
}
