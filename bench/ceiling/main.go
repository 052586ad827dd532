// Command ceiling is the least that a broker must do, and nothing else: it reads a Produce frame, decodes it with kmsg, checks
// each batch's CRC32C, stamps offset and leader epoch, writes the batches to new files of 128 MiB, and answers. What it reaches
// on a machine is what a broker could reach there, so figures of brokers are told as a share of it (docs/benchmarks.md).
//
// It keeps no promise: no recovery, no groups, no replicas; topics live in memory and end with the process, whose files are
// removed. The bounds on what is not synced are StreamBus's own, for a disk that is never waited for is faster than any disk.
//
// The load driver (streambus bench, package bench) is its only client. Read this file first, then conn.go (the way of a
// request), store.go (files and syncs), topics.go (what a client asks before it begins).
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/wakeful"
)

func main() {
	wakeful.Relaunch()
	listen := flag.String("listen", "127.0.0.1:9092", "address, host:port")
	dir := flag.String("dir", os.TempDir(), "where a directory for its files is made, and removed at the end: the disk that is measured")
	group := flag.Bool("group-commit", false, "answer when the data is synced, with one sync for all that wait")
	apart := flag.Bool("apart", false, "files of its own for each partition, so that a fetch is one piece of a file")
	flag.Parse()
	if err := run(*listen, *dir, options{groupCommit: *group, apart: *apart}); err != nil {
		fmt.Fprintln(os.Stderr, "ceiling:", err)
		os.Exit(1)
	}
}

func run(listen, dir string, o options) error {
	l, err := env.System().Net.Listen("tcp", listen) // not paced, as StreamBus's connections within a machine
	if err != nil {
		return err
	}
	s, err := newServer(l.Addr(), dir, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Printf("listening on %s, process %d\n", l.Addr(), os.Getpid())
	over := make(chan os.Signal, 1)
	signal.Notify(over, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-over
		l.Close()
	}()
	s.serve(l)
	return s.close()
}

// server is one broker of a cluster of one.
type server struct {
	host   string
	port   int32
	store  *store
	topics topics
}

func newServer(at net.Addr, dir string, o options) (*server, error) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("%s is no TCP address", at)
	}
	st, err := newStore(env.NewOSFS(), dir, o)
	if err != nil {
		return nil, err
	}
	return &server{host: tcp.IP.String(), port: int32(tcp.Port), store: st, topics: topics{byName: map[string]*topic{}}}, nil
}

// serve takes connections until the listener is closed.
func (s *server) serve(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go s.newConn(nc).serve()
	}
}

func (s *server) close() error { return s.store.close() }
