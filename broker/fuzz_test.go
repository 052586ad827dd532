package broker

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzDispatch sends frames of any content. Whatever they are, the broker answers or hangs up, keeps no memory for them,
// has no panic to log, and still serves the next client.
func FuzzDispatch(f *testing.F) {
	for _, a := range apis {
		for version := a.minVersion; version <= a.maxVersion; version++ {
			req := kmsg.RequestForKey(a.key)
			req.SetVersion(version)
			f.Add(frameOf(req, 1)[4:])
		}
	}
	produce, fetch := produceRequest("t", 0, batchOf("a", "b")), fetchRequest("t", 0, 0)
	for version := int16(0); version <= 12; version++ {
		produce.Version, fetch.Version = version, version
		f.Add(frameOf(produce, 1)[4:])
		f.Add(frameOf(fetch, 1)[4:])
	}
	for _, req := range configRequests() {
		f.Add(frameOf(req, 1)[4:])
	}
	for _, frame := range capturedFrames(f) {
		f.Add(frame)
	}
	b := startGroups(f, withConfig("auto.create.topics.enable=false"))
	for _, req := range groupRequests(b) {
		switch req.(type) {
		case *kmsg.JoinGroupRequest, *kmsg.SyncGroupRequest: // may wait for other members, longer than this test does
		default:
			f.Add(frameOf(req, 1)[4:])
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		b.t = t
		nc, err := net.Dial("tcp", b.addr)
		must(t, err)
		defer nc.Close()
		c := &client{t: t, nc: nc, in: bufio.NewReader(nc)}
		c.sendRaw(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
		_ = nc.(*net.TCPConn).CloseWrite()
		_ = nc.SetReadDeadline(time.Now().Add(readTimeout))
		_, _ = c.in.WriteTo(discard{})
		other := b.dial()
		ask[*kmsg.ApiVersionsResponse](other, apiVersionsRequest(3))
		other.nc.Close()
		for _, line := range b.logged.lines() {
			if strings.Contains(line, "panic") {
				t.Fatal(line)
			}
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// capturedFrames are requests that real clients sent to a real Kafka, without their length.
func capturedFrames(t testing.TB) [][]byte {
	data, err := os.ReadFile("../kafkaproto/testdata/frames.txt")
	if err != nil {
		return nil
	}
	var frames [][]byte
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[0] != ">" {
			continue
		}
		if b, err := base64.StdEncoding.DecodeString(fields[3]); err == nil {
			frames = append(frames, b)
		}
	}
	return frames
}
