package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// startServer is startBroker without partitions, for what concerns connections only. rows replace those of the table.
func startServer(t testing.TB, rows []api, options ...brokerOption) *testBroker {
	t.Helper()
	set := brokerSetup{clock: env.System().Clock}
	for _, o := range options {
		o(&set)
	}
	cfg, _, err := config.Load(config.Sources{Set: append([]string{"node.id=1"}, set.settings...)})
	must(t, err)
	b := &testBroker{t: t, env: env.System(), logged: &logBuffer{}}
	b.env.Clock = set.clock
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b.addr = l.Addr().String()
	b.quorum = newTestQuorum(t, b.env.Clock, [16]byte{7}, l.Addr().(*net.TCPAddr).Port)
	b.server = NewServer(Options{
		Env: b.env, Config: cfg, NodeID: 1, ClusterID: func() string { return "" }, Quorum: b.quorum, Events: set.events,
		Logger: slog.New(slog.NewTextHandler(b.logged, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	for i := range rows {
		b.server.table[rows[i].key] = &rows[i]
	}
	go b.server.Serve(l, "PLAINTEXT")
	t.Cleanup(b.server.Close)
	return b
}

// heldRow is a row of key 3 (Metadata) whose requests wait until the test answers them.
func heldRow(pipelined bool) (api, chan *request) {
	held := make(chan *request, 1000)
	return api{key: 3, name: "held", maxVersion: 13, pipelined: pipelined, handle: func(_ *Server, r *request) { held <- r }}, held
}

func metadataRequest() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 1
	return req
}

func apiVersionsRequest(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "test", "1.0"
	return req
}

func answerHeld(r *request) { r.reply(kmsg.NewPtrMetadataResponse()) }

func TestAnswersComeInTheOrderOfRequestsWhateverIsReadyFirst(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	c := b.dial()
	const n = 100
	var frames []byte
	for i := range n {
		frames = append(frames, frameOf(metadataRequest(), int32(i))...)
	}
	c.sendRaw(frames)
	requests := make([]*request, n)
	for i := range requests {
		requests[i] = <-held
	}
	var wg sync.WaitGroup
	for _, i := range []int{99, 50, 1, 0} {
		answerHeld(requests[i])
		requests[i] = nil
	}
	for _, r := range slices.Backward(requests) {
		if r != nil {
			wg.Go(func() { answerHeld(r) })
		}
	}
	for i := range n {
		if got, _ := c.frame(); got != int32(i) {
			t.Fatalf("answer %d came at the place of %d", got, i)
		}
	}
	wg.Wait()
}

func TestARequestThatMayBlockHoldsBackTheNextUntilItIsAnswered(t *testing.T) {
	row, held := heldRow(false)
	b := startServer(t, []api{row})
	c := b.dial()
	first, second := c.send(metadataRequest()), c.send(metadataRequest())
	r := <-held
	select {
	case <-held:
		t.Fatal("the second request started before the first was answered")
	case <-time.After(20 * time.Millisecond):
	}
	answerHeld(r)
	c.receive(first, metadataRequest())
	answerHeld(<-held)
	c.receive(second, metadataRequest())
}

func TestARequestSeesWhatTheOnesBeforeItDid(t *testing.T) {
	row, held := heldRow(true)
	started := make(chan *request, 1)
	serial := api{key: 60, name: "serial", maxVersion: 2, handle: func(_ *Server, r *request) { started <- r }}
	b := startServer(t, []api{row, serial})
	c := b.dial()
	c.send(metadataRequest())
	c.send(kmsg.NewPtrDescribeClusterRequest())
	r := <-held
	select {
	case <-started:
		t.Fatal("ListOffsets, say, started while the Produce before it was not answered")
	case <-time.After(20 * time.Millisecond):
	}
	answerHeld(r)
	(<-started).reply(kmsg.NewPtrDescribeClusterResponse())
	c.frame()
	c.frame()
}

func TestAnAnswerBeforeARequestThatBlocksIsNotHeldBack(t *testing.T) {
	row, held := heldRow(false)
	b := startServer(t, []api{row})
	c := b.dial()
	c.sendRaw(append(frameOf(apiVersionsRequest(0), 1), frameOf(metadataRequest(), 2)...))
	if got, _ := c.frame(); got != 1 {
		t.Fatalf("got the answer to %d first", got)
	}
	answerHeld(<-held)
	c.frame()
}

func TestASlowReaderHoldsNobodyElseUp(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	row := api{key: 3, name: "big", maxVersion: 13, pipelined: true, handle: func(_ *Server, r *request) {
		resp := kmsg.NewPtrMetadataResponse()
		resp.Topics = []kmsg.MetadataResponseTopic{{Topic: kmsg.StringPtr(big[:30000])}}
		for range 34 {
			resp.Topics = append(resp.Topics, resp.Topics[0])
		}
		go r.reply(resp)
	}}
	b := startServer(t, []api{row})
	slow := b.dial()
	var frames []byte
	for i := range 2 * maxQueuedRequests {
		frames = append(frames, frameOf(metadataRequest(), int32(i))...)
	}
	slow.sendRaw(frames)
	other := b.dial()
	for range 10 {
		ask[*kmsg.ApiVersionsResponse](other, apiVersionsRequest(3))
	}
	for i := range 2 * maxQueuedRequests { // and the slow one loses nothing
		if got, _ := slow.frame(); got != int32(i) {
			t.Fatalf("answer %d came at the place of %d", got, i)
		}
	}
}

func TestRequestsInFlightOfAConnectionAreBounded(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	c := b.dial()
	var frames []byte
	for i := range 3 * maxQueuedRequests {
		frames = append(frames, frameOf(metadataRequest(), int32(i))...)
	}
	c.sendRaw(frames)
	eventually(t, "the queue is full", func() bool { return len(held) >= maxQueuedRequests })
	time.Sleep(10 * time.Millisecond)
	if n := len(held); n != maxQueuedRequests {
		t.Fatalf("%d requests are in flight", n)
	}
	for i := range 3 * maxQueuedRequests {
		answerHeld(<-held)
		if got, _ := c.frame(); got != int32(i) {
			t.Fatalf("answer %d came at the place of %d", got, i)
		}
	}
}

func TestAPanicInAHandlerCostsItsConnectionOnly(t *testing.T) {
	row := api{key: 3, name: "broken", maxVersion: 13, handle: func(*Server, *request) { panic("broken on purpose") }}
	b := startServer(t, []api{row})
	c, other := b.dial(), b.dial()
	c.send(metadataRequest())
	c.mustBeClosed()
	ask[*kmsg.ApiVersionsResponse](other, apiVersionsRequest(3))
	eventually(t, "its frame is free", func() bool { return b.server.Stats().HeldBytes == 0 })
	if lines := strings.Join(b.logged.lines(), "\n"); !strings.Contains(lines, "broken on purpose") || !strings.Contains(lines, "conn_test.go") {
		t.Errorf("the log has no stack: %s", lines)
	}
}

func TestBadFramesCloseTheConnectionWithOneLogLine(t *testing.T) {
	tests := []struct {
		name string
		send []byte
		log  string
	}{
		{"two gigabytes claimed", []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, "larger than the limit"},
		{"negative length", []byte{0xff, 0xff, 0xff, 0xff}, "negative length"},
		{"no header", []byte{0, 0, 0, 2, 0, 18}, "header"},
		{"empty frame", []byte{0, 0, 0, 0}, "header"},
		{"negative client id", []byte{0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0x80, 0}, "client id"},
		{"a million topics", append(frameHeader(3, 1, 14), 0, 15, 0x42, 0x40), "cannot decode"},
		{"two billion topics", append(frameHeader(3, 1, 14), 0x7f, 0xff, 0xff, 0xff), "cannot decode"},
		{"an API nobody knows", frameHeader(5000, 0, 10), "unknown API key"},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "HTTP"},
		{"a TLS handshake", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}, "TLS"},
	}
	row, _ := heldRow(true)
	b := startServer(t, []api{row})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(b.logged.lines())
			c := b.dial()
			c.sendRaw(test.send)
			c.mustBeClosed()
			lines := b.logged.lines()[before:]
			if len(lines) != 1 || !strings.Contains(lines[0], test.log) {
				t.Errorf("logged %q, want one line with %q", lines, test.log)
			}
		})
	}
	ask[*kmsg.ApiVersionsResponse](b.dial(), apiVersionsRequest(3))
}

// frameHeader is the start of a frame of size bytes with an empty client id.
func frameHeader(key, version int16, size int32) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, 0, 0, 0, 1, 0, 0)
}

func TestAClientThatHangsUpIsNotWorthALogLine(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	ask[*kmsg.ApiVersionsResponse](c, apiVersionsRequest(3))
	c.nc.Close()
	eventually(t, "the connection is gone", func() bool { return b.server.Stats().Connections == 0 })
	if lines := b.logged.lines(); len(lines) != 0 {
		t.Errorf("logged %q", lines)
	}
}

func TestAClaimedFramePinsOnlyWhatHasArrived(t *testing.T) {
	b := startServer(t, nil)
	for range 20 {
		c := b.dial()
		c.sendRaw(append(frameHeader(0, 9, 100<<20), make([]byte, 1000)...))
	}
	eventually(t, "all frames have begun", func() bool { return b.server.Stats().HeldBytes >= 20*frameStep })
	if held := b.server.Stats().HeldBytes; held != 20*frameStep {
		t.Errorf("%d bytes are held for frames of which 1000 bytes each have come", held)
	}
}

func TestALargeFrameArrivesWhole(t *testing.T) {
	var got string
	row := api{key: 3, name: "echo", maxVersion: 13, handle: func(_ *Server, r *request) {
		got = *r.req.(*kmsg.MetadataRequest).Topics[0].Topic + "/" + *r.req.(*kmsg.MetadataRequest).Topics[99].Topic
		answerHeld(r)
	}}
	b := startServer(t, []api{row})
	c := b.dial()
	req := metadataRequest()
	for i := range 100 {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(strings.Repeat(fmt.Sprint(i%10), 30000))})
	}
	for range 2 { // grown from frameStep at first, taken as a whole then
		ask[*kmsg.MetadataResponse](c, req)
		if want := strings.Repeat("0", 30000) + "/" + strings.Repeat("9", 30000); got != want {
			t.Fatal("the frame did not arrive as it was sent")
		}
	}
	eventually(t, "the memory is free again", func() bool { return b.server.Stats().HeldBytes == 0 })
}

func TestMemoryOfRequestsIsBoundedOverAllConnections(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row}, withConfig("queued.max.request.bytes=100000"))
	req := metadataRequest()
	for range 2 {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(strings.Repeat("x", 30000))})
	}
	first, second := b.dial(), b.dial()
	sent := first.send(req)
	r := <-held
	second.send(req)
	select {
	case <-held:
		t.Fatal("the second request was read beyond the limit")
	case <-time.After(20 * time.Millisecond):
	}
	answerHeld(r)
	first.receive(sent, req)
	answerHeld(<-held)
	second.frame()
}

func TestConnectionsAreLimited(t *testing.T) {
	for _, limit := range []string{"max.connections", "max.connections.per.ip"} {
		t.Run(limit, func(t *testing.T) {
			b := startServer(t, nil, withConfig(limit+"=2"))
			first, second := b.dial(), b.dial()
			ask[*kmsg.ApiVersionsResponse](first, apiVersionsRequest(3))
			ask[*kmsg.ApiVersionsResponse](second, apiVersionsRequest(3))
			b.dial().mustBeClosed()
			if lines := b.logged.lines(); len(lines) != 1 || !strings.Contains(lines[0], limit) {
				t.Errorf("logged %q", lines)
			}
			first.nc.Close()
			eventually(t, "there is room again", func() bool { return b.server.Stats().Connections == 1 })
			ask[*kmsg.ApiVersionsResponse](b.dial(), apiVersionsRequest(3))
		})
	}
}

func TestIdleAndStalledConnectionsAreClosed(t *testing.T) {
	clock := env.NewFakeClock(time.Unix(1_700_000_000, 0))
	row, held := heldRow(true)
	b := startServer(t, []api{row}, withClock(clock), withConfig("connections.max.idle.ms=60000"))
	idle, waiting, stalled := b.dial(), b.dial(), b.dial()
	ask[*kmsg.ApiVersionsResponse](idle, apiVersionsRequest(3))
	sent := waiting.send(metadataRequest())
	r := <-held
	stalled.sendRaw(frameHeader(3, 1, 14))
	eventually(t, "the frame has begun", func() bool {
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		for c := range b.server.conns {
			if c.reading.Load() != 0 {
				return true
			}
		}
		return false
	})
	clock.Advance(frameStall + 2*sweepInterval)
	stalled.mustBeClosed()
	ask[*kmsg.ApiVersionsResponse](idle, apiVersionsRequest(3)) // not idle for long enough
	clock.Advance(70 * time.Second)
	idle.mustBeClosed()
	answerHeld(r) // a connection with a request in flight is not idle
	waiting.receive(sent, metadataRequest())
}

func TestDrainAnswersWhatWasReadAndClosesTheRest(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	busy, idle := b.dial(), b.dial()
	ask[*kmsg.ApiVersionsResponse](idle, apiVersionsRequest(3))
	sent := busy.send(metadataRequest())
	r := <-held
	drained := make(chan error, 1)
	go func() { drained <- b.server.Drain(context.Background()) }()
	idle.mustBeClosed()
	if _, err := net.Dial("tcp", b.addr); err == nil {
		t.Error("a draining broker accepts connections")
	}
	select {
	case <-drained:
		t.Fatal("drained with a request in flight")
	default:
	}
	answerHeld(r)
	busy.receive(sent, metadataRequest())
	busy.mustBeClosed()
	must(t, <-drained)
}

// A client whose request comes too late sees the end of the stream behind the answers to the others, not a reset.
func TestDrainEndsTheStreamThoughMoreRequestsCome(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	c := b.dial()
	sent := c.send(metadataRequest())
	r := <-held
	drained := make(chan error, 1)
	go func() { drained <- b.server.Drain(context.Background()) }()
	eventually(t, "it drains", func() bool {
		r.conn.mu.Lock()
		defer r.conn.mu.Unlock()
		return r.conn.draining
	})
	c.send(apiVersionsRequest(3))
	answerHeld(r)
	c.receive(sent, metadataRequest())
	c.send(apiVersionsRequest(3))
	if n, err := io.Copy(io.Discard, c.in); n != 0 || err != nil {
		t.Errorf("read %d bytes, %v, want the end of the stream", n, err)
	}
	c.nc.Close()
	must(t, <-drained)
}

func TestDrainGivesUpWhenItsTimeIsOver(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	c := b.dial()
	c.send(metadataRequest())
	r := <-held
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := b.server.Drain(ctx); err != context.DeadlineExceeded {
		t.Fatalf("got %v", err)
	}
	c.mustBeClosed()
	answerHeld(r) // too late, and harmless
}

func TestEventsCountRequestsAndBytes(t *testing.T) {
	events := make(chan RequestEvent, 10)
	b := startServer(t, nil, withEvents(Events{Request: func(e RequestEvent) { events <- e }}))
	c := b.dial()
	frame := frameOf(apiVersionsRequest(3), 1)
	c.sendRaw(frame)
	_, body := c.frame()
	e := <-events
	if e.Key != 18 || e.Version != 3 || e.BytesIn != len(frame)-4 || e.BytesOut != len(body)+8 || e.Total < e.Handling {
		t.Errorf("got %+v", e)
	}
}

func TestAFileIsSentAsItIsBySendfileAndByReading(t *testing.T) {
	fs := env.System().FS
	name := t.TempDir() + "/file"
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i >> 8 * i)
	}
	must(t, fs.WriteFileAtomic(name, want))
	onDisk, err := fs.Open(name)
	must(t, err)
	defer onDisk.Close()
	mem := env.NewMem()
	must(t, mem.WriteFileAtomic("file", want))
	inMemory, err := mem.Open("file")
	must(t, err)
	released := make(chan bool, 10)
	var file env.File
	row := api{key: 3, name: "file", maxVersion: 13, handle: func(_ *Server, r *request) {
		chunks := []kafkaproto.Chunk{{Bytes: binary.BigEndian.AppendUint32(nil, uint32(4+len(want)))}, {Bytes: []byte{0, 0, 0, 1}}}
		for at, n := 0, 100; at < len(want); at, n = at+n, n*3 {
			n = min(n, len(want)-at)
			chunks = append(chunks, kafkaproto.Chunk{Span: env.Span{File: file, Pos: int64(at), Len: n}})
		}
		r.replyChunks(chunks, 8+len(want), func() { released <- true })
	}}
	b := startServer(t, []api{row})
	for _, file = range []env.File{onDisk, inMemory} {
		c := b.dial()
		c.send(metadataRequest())
		_, body := c.frame()
		if string(body) != string(want) {
			t.Error("other bytes came than the file has")
		}
		<-released
	}
}

func TestWhatAnAnswerHoldsIsReleasedWhenItsClientHasGone(t *testing.T) {
	row, held := heldRow(true)
	b := startServer(t, []api{row})
	c := b.dial()
	c.send(metadataRequest())
	c.send(metadataRequest())
	first, second := <-held, <-held
	released := make(chan int, 2)
	second.replyChunks([]kafkaproto.Chunk{{Bytes: []byte{0, 0, 0, 0}}}, 4, func() { released <- 2 })
	c.nc.Close()
	if n := <-released; n != 2 {
		t.Fatal(n)
	}
	first.replyChunks([]kafkaproto.Chunk{{Bytes: []byte{0, 0, 0, 0}}}, 4, func() { released <- 1 })
	if n := <-released; n != 1 {
		t.Fatal(n)
	}
}
