package quorum

import (
	"net"
	"testing"

	"github.com/streambus/streambus/internal/env"
)

// From an empty directory on a real disk to a leader that has made its cluster: part of the 200 ms from exec to the first
// acknowledged message.
func BenchmarkFirstStart(b *testing.B) {
	for range b.N {
		e := env.System()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		q, err := Open(Options{Env: e, Dir: b.TempDir() + "/raft", NodeID: 1, DirectoryID: [16]byte{1}, Listener: l})
		if err != nil {
			b.Fatal(err)
		}
		if err := q.WaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
