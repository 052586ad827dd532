package broker

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// An answer whose bulk goes by sendfile has a few bytes before and behind it, which travel in the same packets, and leave at once.
func TestWhatIsAroundAPieceOfAFileTravelsWithIt(t *testing.T) {
	fs := env.System().FS
	name := t.TempDir() + "/file"
	const piece, answers = 2 * sendfileBytes, 20
	must(t, fs.WriteFileAtomic(name, make([]byte, piece)))
	file, err := fs.Open(name)
	must(t, err)
	defer file.Close()
	head, tail := make([]byte, 100), make([]byte, 40)
	binary.BigEndian.PutUint32(head, uint32(len(head)+piece+len(tail)-4))
	row := api{key: 3, name: "file", maxVersion: 13, handle: func(_ *Server, r *request) {
		r.replyChunks([]kafkaproto.Chunk{{Bytes: head}, {Span: env.Span{File: file, Len: piece}}, {Bytes: tail}}, len(head)+piece+len(tail), nil)
	}}
	c := startServer(t, []api{row}).dial()
	began, fewest := time.Now(), uint32(1000)
	for range answers {
		before := packetsIn(t, c.nc)
		c.send(metadataRequest())
		c.frame()
		fewest = min(fewest, packetsIn(t, c.nc)-before)
	}
	// A packet has up to 64 KiB here, headers and all: two and a bit for the piece, none for what is around it.
	if fewest > 3 {
		t.Errorf("an answer took %d packets at best", fewest)
	}
	if took := time.Since(began); took > answers*100*time.Millisecond {
		t.Errorf("%d answers took %s: their ends wait in the socket", answers, took)
	}
}

// packetsIn tells how many packets with data have come on a connection.
func packetsIn(t *testing.T, nc net.Conn) (packets uint32) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(socket uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(socket), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			packets = info.Data_segs_in
		}
	}))
	must(t, err)
	return packets
}
