package compat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOneOfTwoDisksFails lets one of two data directories answer EIO, to writes or to syncs, as a disk does that dies. The process
// lives, what is in the other directory goes on, and what is in this one is refused with KAFKA_STORAGE_ERROR and shown as offline.
// After a start, when the disk is well again, everything acknowledged is there.
func TestOneOfTwoDisksFails(t *testing.T) {
	notKafka(t)
	needLinux(t)
	needTool(t, "strace")
	t.Parallel() // with others that bear a busy machine
	for _, of := range []struct {
		name, calls string
		down        func(*broker)
	}{
		{"writes", "pwritev,pwritev2,pwrite64", (*broker).stop},
		{"syncs", "fdatasync,fsync", (*broker).kill9},
	} {
		t.Run(of.name, func(t *testing.T) {
			d := startFailingDisk(t)
			d.fail(of.calls)
			d.look()
			of.down(d.b)
			d.b.start()
			d.repaired()
		})
	}
}

// failingDisk is a broker with two data directories, and a producer for each partition of a topic that is in both.
type failingDisk struct {
	t      *testing.T
	b      *broker
	dirs   [2]string
	in     [failingPartitions]int // directory of each partition
	pumps  [failingPartitions]*pump
	over   context.CancelFunc
	pumped sync.WaitGroup
	admin  *kadm.Client
}

const (
	failingPartitions = 4
	failingTopic      = "spread"
)

func startFailingDisk(t *testing.T) *failingDisk {
	d := &failingDisk{t: t, b: newBroker(t)}
	d.dirs = [2]string{d.b.dir, d.b.dir + "-2"}
	d.b.flags = []string{"--data-dir", strings.Join(d.dirs[:], ",")}
	d.b.start()
	d.admin = kadm.NewClient(openClient(t, d.b, backSoon...))
	createTopic(t, d.b, failingTopic, failingPartitions)
	for i, dir := range d.described() {
		for _, p := range dir.Topics[failingTopic] {
			d.in[p.Partition] = i
		}
	}
	ctx, over := context.WithCancel(t.Context())
	d.over = over
	for p := range d.pumps {
		d.pumps[p] = &pump{t: t, addr: d.b.addr, partition: int32(p), acked: map[int64]int{}}
		d.pumped.Go(func() { d.pumps[p].run(ctx) })
	}
	t.Cleanup(func() {
		over()
		d.pumped.Wait()
	})
	d.moves("at the start", 0, 1)
	return d
}

// described is what DescribeLogDirs says of each directory.
func (d *failingDisk) described() (out [2]kadm.DescribedLogDir) {
	d.t.Helper()
	all, err := d.admin.DescribeAllLogDirs(d.t.Context(), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for i, dir := range d.dirs {
		var ok bool
		if out[i], ok = all[int32(d.b.id)][dir]; !ok {
			d.t.Fatalf("%s is not among the log directories %v", dir, all)
		}
	}
	return out
}

// moves waits until each partition of some directories has more acknowledged.
func (d *failingDisk) moves(when string, dirs ...int) {
	d.t.Helper()
	for p, pump := range d.pumps {
		for _, dir := range dirs {
			if d.in[p] == dir {
				goal := pump.count() + 20
				eventually(d.t, 30*time.Second, fmt.Sprintf("%s partition %d goes on", when, p), func() bool { return pump.count() >= goal })
			}
		}
	}
}

// fail has the second directory fail.
func (d *failingDisk) fail(calls string) {
	d.t.Helper()
	release := injectErrors(d.t, d.b, d.dirs[1], calls)
	defer release()
	eventually(d.t, 30*time.Second, "the directory is offline", func() bool { return d.described()[1].Err != nil })
}

// injectErrors has system calls of a broker on the WAL of a data directory fail with EIO, until release is called.
func injectErrors(t *testing.T, b *broker, dir, calls string) (release func()) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no WAL in %s: %v", dir, err)
	}
	args := []string{"-f", "-qq", "-o", "/dev/null", "-e", "inject=" + calls + ":error=EIO", "-p", strconv.Itoa(b.pid())}
	for _, file := range files {
		args = append(args, "-P", file)
	}
	trace := exec.Command("strace", args...)
	trace.SysProcAttr, trace.Stderr = dieWithParent(), os.Stderr
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		trace.Process.Signal(syscall.SIGINT) // it lets go of the broker
		trace.Wait()
	}
}

// look sees what a failed directory does, and what it does not.
func (d *failingDisk) look() {
	d.t.Helper()
	d.b.alive()
	described := d.described()
	if described[0].Err != nil || !errors.Is(described[1].Err, kerr.KafkaStorageError) {
		d.t.Errorf("DescribeLogDirs says %v and %v, want nothing and KAFKA_STORAGE_ERROR", described[0].Err, described[1].Err)
	}
	for p, pump := range d.pumps {
		if d.in[p] == 1 {
			eventually(d.t, 30*time.Second, fmt.Sprintf("partition %d is refused", p), func() bool { return pump.refusals() > 3 })
		}
	}
	d.moves("with the other directory failed", 0)
	w := openWire(d.t, d.b.addr)
	for p := range d.pumps {
		answer, err := w.fetch(failingTopic, int32(p), 0)
		if want := int16(d.in[p] * kafkaStorageError); err != nil || answer.ErrorCode != want {
			d.t.Errorf("fetch of partition %d in directory %d: code %d, %v; want %d", p, d.in[p], answer.ErrorCode, err, want)
		}
	}
	createTopic(d.t, d.b, "fresh", 2)
	for p := range int32(2) {
		w.mustProduce(d.t, "fresh", p, recordBatch([]byte("a")))
	}
}

// repaired sees that all is there after a start.
func (d *failingDisk) repaired() {
	d.t.Helper()
	for i, dir := range d.described() {
		if dir.Err != nil {
			d.t.Errorf("%s after a start: %v", d.dirs[i], dir.Err)
		}
	}
	d.moves("after a start", 0, 1)
	d.over()
	d.pumped.Wait()
	acked, refused := 0, 0
	for p, pump := range d.pumps {
		acked, refused = acked+pump.count(), refused+pump.refusals()
		pump.check(openWire(d.t, d.b.addr), d.in[p])
	}
	d.t.Logf("%d records acknowledged, %d refused", acked, refused)
	d.b.verify()
	verifyDirectory(d.t, d.dirs[1])
}

// pump sends one record after the other to a partition, each once, and goes on whatever the answer is.
type pump struct {
	t         *testing.T
	addr      string
	partition int32

	mu      sync.Mutex
	acked   map[int64]int // number of the record at an offset
	refused int           // with KAFKA_STORAGE_ERROR
}

func (p *pump) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

func (p *pump) refusals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

func (p *pump) run(ctx context.Context) {
	var w *wire
	for n := 0; ctx.Err() == nil; n++ {
		var err error
		if w == nil {
			if w, err = dialWire(p.addr); err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
		}
		offset, code, err := w.produce(failingTopic, p.partition, recordBatch(fmt.Appendf(nil, "%d/%d", p.partition, n)))
		if err != nil {
			w.close()
			w = nil
			continue
		}
		p.told(n, offset, code)
		if code != 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if w != nil {
		w.close()
	}
}

func (p *pump) told(n int, offset int64, code int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch code {
	case 0:
		if before, ok := p.acked[offset]; ok {
			p.t.Errorf("partition %d: %d was acknowledged at %d, and %d before", p.partition, n, offset, before)
		}
		p.acked[offset] = n
	case kafkaStorageError:
		p.refused++
	case kerr.NotLeaderForPartition.Code, kerr.UnknownTopicOrPartition.Code: // a start
	default:
		p.t.Errorf("partition %d: produce: %v", p.partition, kerr.ErrorForCode(code))
	}
}

// check reads the whole partition.
func (p *pump) check(w *wire, dir int) {
	p.t.Helper()
	found := 0
	for offset := int64(0); ; {
		answer, err := w.fetch(failingTopic, p.partition, offset)
		if err != nil || answer.ErrorCode != 0 {
			p.t.Fatalf("partition %d at %d: code %d, %v", p.partition, offset, answer.ErrorCode, err)
		}
		if offset >= answer.HighWatermark {
			break
		}
		for _, b := range readBatches(p.t, answer.RecordBatches) {
			if n, ok := p.acked[b.FirstOffset]; ok && strings.Contains(string(b.Records), fmt.Sprintf("%d/%d", p.partition, n)) {
				found++
			}
			offset = b.FirstOffset + int64(b.LastOffsetDelta) + 1
		}
	}
	if found != len(p.acked) {
		p.t.Errorf("partition %d, in directory %d: %d of %d acknowledged records are not at their offset", p.partition, dir, len(p.acked)-found, len(p.acked))
	}
}

// TestADiskInAClusterFails lets one of a broker's two directories answer EIO where others have the same replicas: those lead, and
// after a start the broker has caught up.
func TestADiskInAClusterFails(t *testing.T) {
	notKafka(t)
	needLinux(t)
	needTool(t, "strace")
	t.Parallel() // with others that bear a busy machine
	const partitions = 6
	c := newCluster(t, nil, twoInSync...)
	for _, b := range c.nodes {
		b.flags = append(slices.Clone(b.flags), "--data-dir", b.dir+","+b.dir+"-2")
	}
	c.start()
	load := newCrashLoad(t, c, realInput(t), "replicated", partitions, kgo.StopProducerOnDataLossDetected())
	load.pause = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var loading sync.WaitGroup
	loading.Go(func() { load.run(ctx) })
	load.waitProgress(500)

	victim := c.nodes[1]
	failing := victim.dir + "-2"
	hit := map[int32]bool{}
	all, err := c.admin.DescribeAllLogDirs(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all[int32(victim.id)][failing].Topics["replicated"] {
		hit[p.Partition] = true
	}
	if len(hit) == 0 || len(hit) == partitions {
		t.Fatalf("of %d partitions %d are in the second directory", partitions, len(hit))
	}
	release := injectErrors(t, victim, failing, "fdatasync,fsync,pwritev,pwritev2,pwrite64")
	c.awaitTopic("others lead what is in the failed directory", "replicated", func(s sight) bool {
		for p := range int32(partitions) {
			if s.leader[p] <= 0 || slices.Contains(s.isr[p], int32(victim.id)) == hit[p] {
				return false
			}
		}
		return true
	})
	release()
	before := endOffsets(t, c, "replicated", partitions)
	load.waitProgress(1000)
	for p, end := range endOffsets(t, c, "replicated", partitions) {
		if end == before[p] {
			t.Errorf("partition %d, in the failed directory: %v, takes nothing", p, hit[int32(p)])
		}
	}
	victim.alive()
	victim.stop()
	victim.start()
	c.whole()
	stop()
	loading.Wait()
	load.check(true)
	c.verify()
	for _, b := range c.nodes {
		verifyDirectory(t, b.dir+"-2")
	}
}
