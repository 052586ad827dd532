package env

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever the machine's default, a connection within it is not paced, at either end; the way out of it is not changed.
func TestConnectionsOverLoopbackAreNotPaced(t *testing.T) {
	sys, machine := System().Net, congestionOf(t, plainly(t))
	for address, local := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "0.0.0.0:0": false} {
		l, err := sys.Listen("tcp", address)
		if err != nil {
			if address == "[::1]:0" {
				continue // a machine without
			}
			t.Fatal(err)
		}
		defer l.Close()
		dialed, err := sys.Dial("tcp", l.Addr().String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		want := machine
		if local && machine == "bbr" {
			want = "reno"
		}
		if got := congestionOf(t, accepted); got != want {
			t.Errorf("accepted at %s: %s, want %s", address, got, want)
		}
		if local {
			if got := congestionOf(t, dialed); got != want {
				t.Errorf("dialed %s: %s, want %s", address, got, want)
			}
		}
	}
}

// plainly is a connection as the machine makes them.
func plainly(t *testing.T) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func congestionOf(t *testing.T, c net.Conn) (name string) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) {
		name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return name
}
