package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// A page that sendfile has lent to a socket is sent as it is when it leaves, which may be long after the call has returned. So
// bytes that somebody may still read must never change: a file goes by unlink, or is written again when nobody reads it. The first
// test stalls a reader in the middle of an answer that goes by sendfile, has the files under it go in one of the ways there are, lets
// others write as much again, and reads on.

// sentFS is the operating system's file system. It notes from which files something was sent by sendfile: the broker asks for a
// descriptor for nothing else.
type sentFS struct {
	env.FS
	mu   sync.Mutex
	sent map[string]bool
}

type sentFile struct {
	env.File
	fs *sentFS
}

func (s *sentFS) wrap(f env.File, err error) (env.File, error) {
	if err != nil {
		return nil, err
	}
	return &sentFile{f, s}, nil
}

func (s *sentFS) Open(name string) (env.File, error) { return s.wrap(s.FS.Open(name)) }
func (s *sentFS) OpenReadWrite(name string) (env.File, error) {
	return s.wrap(s.FS.OpenReadWrite(name))
}
func (s *sentFS) Create(name string) (env.File, error) { return s.wrap(s.FS.Create(name)) }

func (f *sentFile) Fd() (uintptr, bool) {
	f.fs.mu.Lock()
	f.fs.sent[f.Name()] = true
	f.fs.mu.Unlock()
	return f.File.Fd()
}

func (s *sentFS) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.sent {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// stalledBatch is large enough for sendfile, and so small that a file has few of one of five logs.
const (
	stalledBatch = 68 << 10
	stalledCount = 120
)

// stalled is a node with a topic of about 8 MB in files of 1 MiB.
type stalled struct {
	t     *testing.T
	fs    *sentFS
	n     *Node
	c     *kgo.Client
	rng   *rand.Rand
	wrote []string
}

const stalledTopic = "stalled"

func newStalled(t *testing.T, configs map[string]*string, dirs, beside int) *stalled {
	s := &stalled{t: t, fs: &sentFS{FS: env.NewOSFS(), sent: map[string]bool{}}, rng: rand.New(rand.NewPCG(1, 2))}
	var paths []string
	for range dirs {
		paths = append(paths, t.TempDir())
	}
	s.n = startNode(t, s.fs, "log.dirs="+strings.Join(paths, ","), "log.wal.file.bytes=1048576", "log.flush.policy=never", "log.dirs.reserve.bytes=0", "log.cleaner.backoff.ms=1000000000")
	s.c = client(t, s.n, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0))
	s.create(stalledTopic, 1, configs)
	if beside > 0 {
		s.create("beside", beside, nil)
	}
	for i := range stalledCount {
		s.wrote = append(s.wrote, s.write(stalledTopic, 0, fmt.Sprintf("key %d", i%8)))
		for p := range beside {
			s.write("beside", int32(p), "")
		}
	}
	return s
}

func (s *stalled) create(topic string, partitions int, configs map[string]*string) {
	s.t.Helper()
	if _, err := kadm.NewClient(s.c).CreateTopic(s.t.Context(), int32(partitions), 1, configs, topic); err != nil {
		s.t.Fatal(err)
	}
}

// write produces one batch of one record, and gives its value.
func (s *stalled) write(topic string, partition int32, key string) string {
	s.t.Helper()
	value := make([]byte, stalledBatch)
	for i := 0; i < len(value); i += 8 {
		binary.LittleEndian.PutUint64(value[i:], s.rng.Uint64())
	}
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value}
	if err := s.c.ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	return string(value)
}

// fetch asks for all of the topic and reads no more than where the answer begins. The socket takes little.
func (s *stalled) fetch() (c net.Conn, size int) {
	s.t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		return errors.Join(raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		}), failed)
	}}
	c, err := dialer.DialContext(s.t.Context(), "tcp", s.n.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 12, 1, 50<<20, 1000, -1
	topic, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, part.PartitionMaxBytes = stalledTopic, 50<<20
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		s.t.Fatal(err)
	}
	var length [4]byte
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(c, length[:]); err != nil {
		s.t.Fatal(err)
	}
	return c, int(binary.BigEndian.Uint32(length[:]))
}

// check reads the rest of the answer: it must be all that was written, each batch with its checksum.
func (s *stalled) check(c net.Conn, size int) {
	s.t.Helper()
	answer := make([]byte, size)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(c, answer); err != nil {
		s.t.Fatal(err)
	}
	res := kmsg.NewPtrFetchResponse()
	res.Version = 12
	if err := res.ReadFrom(answer[5:]); err != nil { // after the correlation id and no tags
		s.t.Fatal(err)
	}
	p := res.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		s.t.Fatalf("error %d", p.ErrorCode)
	}
	got := 0
	for rest := p.RecordBatches; len(rest) > 0; got++ {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err == nil {
			err = b.CheckCRC()
		}
		if err == nil {
			err = kafkaproto.Records(b, func(r kafkaproto.Record) error {
				if int(r.Offset) != got || got >= len(s.wrote) || string(r.Value) != s.wrote[got] {
					return fmt.Errorf("offset %d has not what was written", r.Offset)
				}
				return nil
			})
		}
		if err != nil {
			s.t.Fatalf("batch %d of %d: %v", got, len(s.wrote), err)
		}
		rest = tail
	}
	if got != len(s.wrote) {
		s.t.Fatalf("%d batches, want %d", got, len(s.wrote))
	}
}

func (s *stalled) compact(byKey bool) {
	s.t.Helper()
	for e := range s.n.engines {
		compact := e.Compact
		if byKey {
			compact = e.Clean
		}
		if err := compact(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// settle has files go that nobody needs.
func (s *stalled) settle() {
	s.t.Helper()
	for e := range s.n.engines {
		if err := e.Retain(); err != nil {
			s.t.Fatal(err)
		}
	}
}

func there(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestAStalledReaderGetsWhatWasWrittenWhateverBecomesOfTheFiles(t *testing.T) {
	for _, c := range []struct {
		name    string
		dirs    int // 1 if unset
		configs map[string]*string
		beside  int // partitions with as much each in the same files
		do      func(t *testing.T, s *stalled)
	}{
		{name: "DeleteRecords", do: func(t *testing.T, s *stalled) {
			var to kadm.Offsets
			to.Add(kadm.Offset{Topic: stalledTopic, At: stalledCount})
			if res, err := adminOf(t, s.n).DeleteRecords(t.Context(), to); err != nil || res.Error() != nil {
				t.Fatal(err, res)
			}
		}},
		{name: "retention by size", do: func(t *testing.T, s *stalled) {
			alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.bytes", Value: text("1")}}
			if res, err := adminOf(t, s.n).AlterTopicConfigs(t.Context(), alter, stalledTopic); err != nil || res[0].Err != nil {
				t.Fatal(err, res)
			}
		}},
		{name: "compaction", beside: 4, do: func(t *testing.T, s *stalled) { s.compact(false) }},
		{name: "compaction by key", configs: map[string]*string{"cleanup.policy": text("compact")}, do: func(t *testing.T, s *stalled) {
			s.compact(true)
		}},
		{name: "deletion of the topic", do: func(t *testing.T, s *stalled) {
			if _, err := adminOf(t, s.n).DeleteTopic(t.Context(), stalledTopic); err != nil {
				t.Fatal(err)
			}
		}},
		// As a follower's log is cut where it has parted from its leader's, and goes on with other records at the same offsets.
		{name: "truncation", do: func(t *testing.T, s *stalled) {
			p := leader(t, s.n, stalledTopic, 0)
			l, ok := p.Dir().Engine.Log(p.ID())
			if !ok {
				t.Fatal("no log")
			}
			if err := l.Truncate(0); err != nil {
				t.Fatal(err)
			}
			for range stalledCount / 4 {
				s.write(stalledTopic, 0, "")
			}
		}},
		{name: "move to another directory", dirs: 2, do: func(t *testing.T, s *stalled) {
			p := leader(t, s.n, stalledTopic, 0)
			from, to := p.Dir(), s.n.manager.Dirs()[0]
			if from == to {
				to = s.n.manager.Dirs()[1]
			}
			if err := s.n.manager.MoveReplica(stalledTopic, 0, to.Absolute()); err != nil {
				t.Fatal(err)
			}
			await(t, "the move", []*Node{s.n}, func(*controller.Image) bool {
				_, there := from.Engine.Log(p.ID())
				return p.Dir() == to && !there
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStalled(t, c.configs, max(c.dirs, 1), c.beside)
			conn, size := s.fetch()
			await(t, "something is sent by sendfile", []*Node{s.n}, func(*controller.Image) bool { return len(s.fs.names()) > 0 })
			c.do(t, s)
			s.create("later", 2, nil)
			for range stalledCount / 2 {
				s.write("later", 0, "")
				s.write("later", 1, "")
			}
			sent := s.fs.names()
			await(t, "the files are gone that were sent from: "+strings.Join(sent, " "), []*Node{s.n}, func(*controller.Image) bool {
				s.settle()
				return !slices.ContainsFunc(sent, there)
			})
			for range stalledCount / 2 { // in the room that they took
				s.write("later", 0, "")
				s.write("later", 1, "")
			}
			if now := s.fs.names(); !slices.Equal(sent, now) {
				t.Fatalf("the reader has not stalled: sent from %v, then from %v", sent, now)
			}
			s.check(conn, size)
			all := s.fs.names()
			if len(all) <= len(sent) {
				t.Errorf("the whole answer was on its way before the files went: sent from %d files", len(all))
			}
			t.Logf("sent from %d files before the reader stalled, and from %d afterwards", len(sent), len(all)-len(sent))
		})
	}
}

// An answer that is wholly in the socket has been sent, as far as the broker knows.
func TestAnAnswerThatIsStillInTheSocketIsWhatWasWritten(t *testing.T) {
	s := newStalled(t, nil, 1, 0)
	c, err := net.Dial("tcp", s.n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, 1, 600<<10, -1
	topic, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, part.PartitionMaxBytes = stalledTopic, 600<<10
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	await(t, "the answer goes by sendfile", []*Node{s.n}, func(*controller.Image) bool { return len(s.fs.names()) > 0 })
	sent := s.fs.names()
	if _, err := adminOf(t, s.n).DeleteTopic(t.Context(), stalledTopic); err != nil {
		t.Fatal(err)
	}
	await(t, "the files are gone", []*Node{s.n}, func(*controller.Image) bool { s.settle(); return !slices.ContainsFunc(sent, there) })
	s.create("later", 1, nil)
	for range 2 * stalledCount { // into all that is kept
		s.write("later", 0, "")
	}
	again := int64(0)
	for e := range s.n.engines {
		again += e.Stats().Recycled
	}
	if again == 0 {
		t.Error("no file was written again")
	}
	s.wrote = s.wrote[:600<<10/stalledBatch]
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		t.Fatal(err)
	}
	s.check(c, int(binary.BigEndian.Uint32(length[:])))
}

// Followers say when an answer has come, so that what they were sent may be written again.
func TestFilesThatFollowersHaveReadAreWrittenAgain(t *testing.T) {
	fs := &sentFS{FS: env.NewOSFS(), sent: map[string]bool{}}
	var nodes [4]*Node
	for id := 1; id <= 3; id++ {
		own := []string{
			fmt.Sprintf("node.id=%d", id), "log.dirs=" + t.TempDir(), "log.wal.file.bytes=1048576", "log.flush.policy=never",
			"log.dirs.reserve.bytes=0",
		}
		if id > 1 {
			own = append(own, "controller.quorum.bootstrap.servers="+clusterAddr(t, nodes[1]))
		}
		nodes[id] = startNode(t, fs, own...)
	}
	s := &stalled{t: t, n: nodes[1], c: client(t, nodes[1]), rng: rand.New(rand.NewPCG(1, 2))}
	spares := func() (least int, recycled int64) {
		least = 100
		for _, n := range nodes[1:] {
			for e := range n.engines {
				if err := e.Retain(); err != nil {
					t.Fatal(err)
				}
				least = min(least, e.Stats().Spares)
				recycled += e.Stats().Recycled
			}
		}
		return least, recycled
	}
	for _, name := range []string{"one", "two"} {
		if _, err := kadm.NewClient(s.c).CreateTopic(t.Context(), 1, 3, nil, name); err != nil {
			t.Fatal(err)
		}
		for range stalledCount / 2 {
			s.write(name, 0, "")
		}
		if name == "one" {
			if _, err := kadm.NewClient(s.c).DeleteTopic(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			await(t, "files are kept on every node", nodes[1:], func(*controller.Image) bool { n, _ := spares(); return n > 1 })
		}
	}
	if _, again := spares(); again == 0 {
		t.Error("no file was written again")
	}
	if len(fs.names()) == 0 {
		t.Error("nothing was sent by sendfile")
	}
}
