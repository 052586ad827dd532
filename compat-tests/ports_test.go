package compat

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Ports are given out in turn, from a place drawn by lot, of those below what Linux and macOS give to a socket that asks
// for any port. A port between a node's end and its next start is therefore nobody's: neither a connection nor a node
// that listens at a port of its own choice gets it.
const firstPort, portsBelow = 10000, 32768

var portsTaken atomic.Uint32

func init() { portsTaken.Store(rand.Uint32N(portsBelow - firstPort)) }

// freePorts gives addresses on the loopback that nobody listened on a moment ago and that no test of this process has had.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range portsBelow - firstPort {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+portsTaken.Add(1)%(portsBelow-firstPort))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			if addrs = append(addrs, addr); len(addrs) == n {
				return addrs
			}
		}
	}
	t.Fatalf("no %d ports from %d to %d are free", n, firstPort, portsBelow)
	return nil
}

func TestPortsAreNoOnesByChance(t *testing.T) {
	given := map[string]bool{}
	for range 100 {
		for _, addr := range freePorts(t, 3) {
			if given[addr] {
				t.Fatalf("%s was given twice", addr)
			}
			given[addr] = true
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if addr := l.Addr().String(); given[addr] {
			t.Fatalf("a socket that asked for any port got %s, which was promised to a node", addr)
		}
	}
}
