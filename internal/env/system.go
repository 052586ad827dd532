package env

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"time"
)

// System is the machine itself: its clock, its random numbers, its files, its network.
func System() Env {
	return Env{Clock: systemClock{}, Rand: systemRand{}, FS: NewOSFS(), Net: systemNet{}}
}

type systemClock struct{}

func (systemClock) Now() time.Time { return now() }

func (systemClock) AfterFunc(d time.Duration, f func()) Timer {
	return systemTimer{t: time.AfterFunc(d, f)}
}

func (systemClock) NewTimer(d time.Duration) Timer {
	t := time.NewTimer(d)
	return systemTimer{t: t, c: t.C}
}

type systemTimer struct {
	t *time.Timer
	c <-chan time.Time
}

func (t systemTimer) C() <-chan time.Time        { return t.c }
func (t systemTimer) Stop() bool                 { return t.t.Stop() }
func (t systemTimer) Reset(d time.Duration) bool { return t.t.Reset(d) }

type systemRand struct{}

func (systemRand) Uint64() uint64 {
	var b [8]byte
	systemRand{}.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// Read never fails: crypto/rand ends the process if the operating system has no randomness.
func (systemRand) Read(p []byte) { _, _ = rand.Read(p) }

type systemNet struct{}

func (systemNet) Listen(network, address string) (net.Listener, error) {
	c := net.ListenConfig{Control: unpaced}
	return c.Listen(context.Background(), network, address)
}

func (systemNet) Dial(network, address string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, Control: unpaced}
	return d.Dial(network, address)
}
