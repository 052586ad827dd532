package compat

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// memoryBound is what the process may hold resident while it is fed rubbish in small frames.
const memoryBound = 400 << 20

// TestMutatedFramesHarmNobody sends mutated frames of every served API over eight connections. The process stays up, its
// memory is bounded, and another client is served all the while. COMPAT_FUZZ=60s is the time to do so.
func TestMutatedFramesHarmNobody(t *testing.T) {
	long := 10 * time.Second
	if full {
		long = 60 * time.Second
	}
	if text := os.Getenv("COMPAT_FUZZ"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	b := startBroker(t)
	createTopic(t, b, "witness", 1)
	createTopic(t, b, "mutant", 3)
	frames := seedFrames(t, b, "mutant")
	seed := rand.Uint64()
	t.Logf("seed %d, %d seed frames, %v", seed, len(frames), long)

	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var sent, answered atomic.Int64
	var running sync.WaitGroup
	for i := range uint64(8) {
		running.Go(func() { sendMutants(ctx, b.addr, rand.New(rand.NewPCG(seed, i)), frames, &sent, &answered) })
	}
	var slowest time.Duration
	var most int64
	for rounds := 0; ctx.Err() == nil; rounds++ {
		slowest = max(slowest, witness(t, b, rounds))
		b.alive()
		most = max(most, memory(t, b.pid(), "VmRSS"))
	}
	cancel()
	running.Wait()
	t.Logf("%d mutants sent, %d answered; slowest produce and fetch of the other client %v; at most %d MB resident",
		sent.Load(), answered.Load(), slowest.Round(time.Millisecond), most>>20)
	if sent.Load() < 1000 {
		t.Errorf("only %d mutants sent", sent.Load())
	}
	if most > memoryBound && !againstKafka {
		t.Errorf("%d MB resident", most>>20)
	}
	if slowest > 10*time.Second {
		t.Errorf("the other client waited %v", slowest)
	}
	b.verify()
}

func sendMutants(ctx context.Context, addr string, r *rand.Rand, frames [][]byte, sent, answered *atomic.Int64) {
	answer := make([]byte, 64<<10)
	for ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			continue
		}
		for range 50 {
			conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Write(mutate(r, frames[r.IntN(len(frames))])); err != nil {
				break
			}
			sent.Add(1)
			if _, err := conn.Read(answer); err != nil { // closed, or no answer is to be had
				break
			}
			answered.Add(1)
		}
		conn.Close()
	}
}

// witness writes a record and reads it again over a connection of its own, and says how long that took.
func witness(t *testing.T, b *broker, round int) time.Duration {
	t.Helper()
	began := time.Now()
	w, err := dialWire(b.addr)
	if err != nil {
		t.Fatalf("the other client: %v", err)
	}
	defer w.close()
	value := fmt.Sprintf("witness %d", round)
	offset := w.mustProduce(t, "witness", 0, recordBatch([]byte(value)))
	p, err := w.fetch("witness", 0, offset)
	if err != nil || p.ErrorCode != 0 || !strings.Contains(string(p.RecordBatches), value) {
		t.Fatalf("the other client: fetch at %d: code %d, %v", offset, p.ErrorCode, err)
	}
	return time.Since(began)
}

// TestImpossibleFrames sends what no client means: each gets Kafka's error or a closed connection, allocates nothing that
// it merely claims, and is followed by another client being served.
func TestImpossibleFrames(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "witness", 1)
	createTopic(t, b, "target", 1)
	witness(t, b, 0)
	before := memory(t, b.pid(), "VmRSS")
	for i, c := range impossibleFrames() {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", b.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			// Whatever is answered, the connection's end or an answer comes by itself.
			n, err := conn.Read(make([]byte, 1024))
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Fatal("neither an answer nor the connection's end")
			}
			if c.closes && err == nil {
				t.Errorf("answered with %d bytes, want the connection closed", n)
			}
			if err != nil {
				conn.Close()
				oneLogLine(t, b, conn.LocalAddr().String())
			}
			b.alive()
			witness(t, b, i+1)
		})
	}
	if grown := memory(t, b.pid(), "VmRSS") - before; grown > 100<<20 && !againstKafka {
		t.Errorf("%d MB more resident than before", grown>>20)
	}
}

// oneLogLine: that a connection was closed on its client is worth one line with a reason.
func oneLogLine(t *testing.T, b *broker, peer string) {
	t.Helper()
	if againstKafka {
		return
	}
	var lines []string
	for range 100 {
		lines = lines[:0]
		for line := range strings.Lines(b.logText()) {
			if strings.Contains(line, peer+" ") {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(lines) != 1 || !strings.Contains(lines[0], "reason=") {
		t.Errorf("the log says of the closed connection:\n%s", strings.Join(lines, ""))
	}
}

type badFrame struct {
	name   string
	bytes  []byte
	closes bool // the only right answer
}

func impossibleFrames() []badFrame {
	claim := func(n uint32, body string) []byte { return append(binary.BigEndian.AppendUint32(nil, n), body...) }
	metadata := func(count uint32) []byte { // v1, client id null
		return claim(14, "\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff"+string(binary.BigEndian.AppendUint32(nil, count)))
	}
	compact := func(count uint64) []byte { // Metadata v9: a compact array that claims count elements
		body := "\x00\x03\x00\x09\x00\x00\x00\x07\xff\xff\x00" + string(binary.AppendUvarint(nil, count))
		return claim(uint32(len(body)), body)
	}
	tags := "\x00\x03\x00\x09\x00\x00\x00\x07\xff\xff" + string(binary.AppendUvarint(nil, 1<<31-1))
	return []badFrame{
		{"a frame that claims 2 GB", claim(0x7fffffff, "\x00\x12\x00\x00"), true},
		{"a negative frame length", claim(0xffffffff, "\x00\x12\x00\x00"), true},
		{"a frame of no bytes", claim(0, ""), true},
		{"a frame shorter than a header", claim(3, "\x00\x12\x00"), true},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), true},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more of a hello"), true},
		{"a million array elements", metadata(1_000_000), true},
		{"two billion array elements", metadata(0x7fffffff), true},
		{"a negative array length", metadata(0xfffffff0), false}, // Kafka takes it for null,
		{"a million elements of a compact array", compact(1_000_001), true},
		{"a compact array longer than 32 bits", compact(1 << 62), true},
		{"two billion tagged fields", claim(uint32(len(tags)), tags), true},
	}
}

// TestBrokenBatches: what can be told by partition is answered by partition, and the connection goes on.
func TestBrokenBatches(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "target", 1)
	w := openWire(t, b.addr)
	good := recordBatch([]byte("one"), []byte("two"))
	change := func(f func(raw []byte)) []byte {
		raw := append([]byte{}, good...)
		f(raw)
		return raw
	}
	recheck := func(raw []byte) { binary.BigEndian.PutUint32(raw[17:], checksum(raw[21:])) }
	cases := []struct {
		name  string
		batch []byte
		codes []int16
	}{
		{"wrong CRC", change(func(raw []byte) { raw[len(raw)-1] ^= 1 }), []int16{2}},
		{"negative batch length", change(func(raw []byte) { binary.BigEndian.PutUint32(raw[8:], 0xffffffff) }), []int16{2, 87}},
		{"batch length past the end", change(func(raw []byte) { binary.BigEndian.PutUint32(raw[8:], 1<<30) }), []int16{2, 87}},
		{"negative record count", change(func(raw []byte) {
			binary.BigEndian.PutUint32(raw[57:], 0xffffffff)
			recheck(raw)
		}), []int16{2, 87}},
		{"a million records claimed", change(func(raw []byte) {
			binary.BigEndian.PutUint32(raw[23:], 999_999)
			binary.BigEndian.PutUint32(raw[57:], 1_000_000)
			recheck(raw)
		}), []int16{2, 87}},
		{"unknown magic", change(func(raw []byte) { raw[16] = 9 }), []int16{2, 87}},
		{"unknown codec", change(func(raw []byte) {
			binary.BigEndian.PutUint16(raw[21:], 7)
			recheck(raw)
		}), []int16{2, 76, 87}},
		{"cut short", good[:len(good)-3], []int16{2, 87}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, code, err := w.produce("target", 0, c.batch)
			if againstKafka && err != nil { // Kafka closes on a few of them
				t.Logf("closed: %v", err)
				w = openWire(t, b.addr)
				return
			}
			if err != nil {
				t.Fatalf("the connection ended: %v", err)
			}
			t.Logf("code %d", code)
			found := false
			for _, want := range c.codes {
				found = found || code == want
			}
			if !found && !againstKafka {
				t.Errorf("code %d, want one of %v", code, c.codes)
			}
		})
	}
	if offset := w.mustProduce(t, "target", 0, good); offset != 0 && !againstKafka {
		t.Errorf("the first good batch is at offset %d: a broken one was taken", offset)
	}
}

// TestSlowReaderHoldsNobodyUp: a client that asks for much and reads nothing does not keep others from being served.
func TestSlowReaderHoldsNobodyUp(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "witness", 1)
	createTopic(t, b, "large", 1)
	w := openWire(t, b.addr)
	chunk := recordBatch(make([]byte, 500_000))
	for range 40 {
		w.mustProduce(t, "large", 0, chunk)
	}
	for range 20 {
		slow := openWire(t, b.addr)
		for range 10 {
			req := fetchRequest("large", 0, 0)
			req.Topics[0].Partitions[0].PartitionMaxBytes = 50 << 20
			slow.conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := slow.send(req); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 50 {
		if took := witness(t, b, i); took > 5*time.Second {
			t.Errorf("the other client waited %v", took)
		}
	}
	if rss := memory(t, b.pid(), "VmRSS"); rss > memoryBound && !againstKafka {
		t.Errorf("%d MB resident for 200 answers of 20 MB that nobody reads", rss>>20)
	}
}

// TestConnectionThatSaysNothing: half a frame and silence hold nobody up either.
func TestConnectionThatSaysNothing(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "witness", 1)
	for range 100 {
		conn, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "\x00\x10\x00\x00half"); err != nil {
			t.Fatal(err)
		}
	}
	witness(t, b, 0)
	if rss := memory(t, b.pid(), "VmRSS"); rss > memoryBound && !againstKafka {
		t.Errorf("%d MB resident for a hundred frames that each claim 1 MB and never come", rss>>20)
	}
	b.stop()
}
