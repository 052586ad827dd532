package main

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/streambus/streambus/bench"
)

// start is a server with its files in a directory of the test's.
func start(t *testing.T, o options) (address, dir string, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	s, err := newServer(l.Addr(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.serve(l); close(served) }()
	return l.Addr().String(), dir, func() {
		t.Helper()
		l.Close()
		<-served
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsProducedIsFetchedAgain(t *testing.T) {
	for name, o := range map[string]options{"": {}, "group commit": {groupCommit: true}, "apart": {apart: true}} {
		t.Run(name, func(t *testing.T) {
			address, dir, end := start(t, o)
			defer end()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			at := bench.Target{Bootstrap: []string{address}, Topic: "t", Partitions: 3, ReplicationFactor: 1}
			const records = 200_000
			for _, batch := range []int{1000, 10} {
				r, err := bench.Produce(ctx, bench.ProduceOptions{
					Target: at, Connections: 2, InFlight: 5, BatchRecords: batch, RecordSize: 100, Records: records, Acks: -1, Compression: "none",
				})
				if err != nil || r.Records != records || r.Errors != 0 {
					t.Fatalf("batches of %d: %+v, %v", batch, r, err)
				}
			}
			r, err := bench.Consume(ctx, bench.ConsumeOptions{Target: at, Connections: 2, Records: 2 * records})
			if err != nil || r.Records < 2*records || r.Errors != 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
				t.Errorf("%v, %v", files, err)
			}
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	_, dir, end := start(t, options{})
	end()
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}
