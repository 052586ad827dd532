// Command record sits between Kafka clients and a broker and writes the frames that pass to a file: one per line, ">"
// for a request or "<" for a response, API key, version, and the frame without its length in base64. It keeps the first
// few of each direction, key and version, and none that are large.
//
//	go run ./kafkaproto/testdata/record -listen 127.0.0.1:29094 -broker 127.0.0.1:29092 -o frames.txt
//
// The broker must advertise the recorder's address.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
)

type recorder struct {
	mu   sync.Mutex
	out  io.Writer
	seen map[string]int
	keep int
	max  int
}

func (r *recorder) frame(direction string, key, version int16, frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := fmt.Sprint(direction, " ", key, " ", version)
	if r.seen[kind] >= r.keep || len(frame) > r.max {
		return
	}
	r.seen[kind]++
	fmt.Fprintln(r.out, kind, base64.StdEncoding.EncodeToString(frame))
}

func main() {
	listen := flag.String("listen", "127.0.0.1:29094", "where clients connect")
	broker := flag.String("broker", "127.0.0.1:29092", "the broker")
	out := flag.String("o", "frames.txt", "file to append to")
	keep := flag.Int("keep", 2, "frames of each direction, key and version")
	max := flag.Int("max", 4096, "largest frame in bytes")
	flag.Parse()
	f, err := os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	r := &recorder{out: f, seen: map[string]int{}, keep: *keep, max: *max}
	for {
		client, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go r.serve(client, *broker)
	}
}

// serve pumps one connection. What a response answers is known by its correlation id.
func (r *recorder) serve(client net.Conn, addr string) {
	broker, err := net.Dial("tcp", addr)
	if err != nil {
		log.Print(err)
		client.Close()
		return
	}
	type api struct{ key, version int16 }
	var asked sync.Map
	go pump(client, broker, func(frame []byte) {
		a := api{int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))}
		asked.Store(binary.BigEndian.Uint32(frame[4:]), a)
		r.frame(">", a.key, a.version, frame)
	})
	pump(broker, client, func(frame []byte) {
		if a, ok := asked.LoadAndDelete(binary.BigEndian.Uint32(frame)); ok {
			r.frame("<", a.(api).key, a.(api).version, frame)
		}
	})
}

func pump(from, to net.Conn, frame func([]byte)) {
	defer from.Close()
	defer to.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return
		}
		p := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
		copy(p, head[:])
		if _, err := io.ReadFull(from, p[4:]); err != nil {
			return
		}
		frame(p[4:])
		if _, err := to.Write(p); err != nil {
			return
		}
	}
}
