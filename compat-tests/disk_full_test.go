package compat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDiskWithoutAByteLeft has producers fill a disk until they are refused, and somebody else the reserve as well, to the last byte
// and for a while. The process lives on: it answers reads, metadata and what groups have committed all the time. With room again it
// takes records by itself, and nothing acknowledged is lost, nor by a kill -9 while there is no byte left.
func TestDiskWithoutAByteLeft(t *testing.T) {
	notKafka(t)
	t.Parallel() // with others that bear a busy machine
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			size, held := int64(256<<20), 5*time.Second
			if full {
				size, held = 2<<30, time.Minute
			}
			d := startFullDisk(t, smallDisk(t, kind, size), size)
			d.fill()
			d.hold(held)
			d.free()
			for range 2 { // and by somebody else's writes alone, while ours go on
				d.takeAll()
				d.hold(held / 5)
				d.free()
			}
			d.crash()
			d.finish()
		})
	}
}

// fullDisk is a broker on a small disk, with a load, and readers that want answers all the time.
type fullDisk struct {
	t    *testing.T
	disk string
	size int64
	b    *broker
	w    *wire
	load *crashLoad

	filler   []byte // a large batch
	taken    int    // of those
	stopLoad context.CancelFunc
	loading  sync.WaitGroup

	afterwards int // topics made since

	stopReaders context.CancelFunc
	readers     sync.WaitGroup
	mu          sync.Mutex
	answers     map[string]int
	slowest     map[string]time.Duration
}

const (
	// fullDiskAnswer bounds an answer that needs no room.
	fullDiskAnswer = 2 * time.Second
	// fullDiskResumes bounds the time from when there is room until records are taken.
	fullDiskResumes = 10 * time.Second
)

func startFullDisk(t *testing.T, disk string, size int64) *fullDisk {
	d := &fullDisk{
		t: t, disk: disk, size: size, filler: recordBatch(randomBytes(900_000)), answers: map[string]int{}, slowest: map[string]time.Duration{},
	}
	// What producers can't take, and what will be free again.
	if err := takeRoom(d.path("theirs"), size*2/3); err != nil {
		t.Fatal(err)
	}
	d.b = newBroker(t, "--set", "log.wal.file.bytes=8388608", "--set", "log.retention.check.interval.ms=500", "--set", "offsets.topic.num.partitions=5")
	d.b.dir = d.path("data")
	d.b.start()
	d.w = openWire(t, d.b.addr)
	createTopic(t, d.b, "filler", 1)
	d.load = newCrashLoad(t, d.b, realInput(t), "loaded", 4, kgo.StopProducerOnDataLossDetected())
	d.load.pause = time.Millisecond
	var offsets kadm.Offsets
	offsets.AddOffset("loaded", 0, fullDiskCommitted, -1)
	if _, err := kadm.NewClient(openClient(t, d.b)).CommitOffsets(t.Context(), "before", offsets); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d.stopLoad = stop
	d.loading.Go(func() { d.load.run(ctx) })
	d.load.waitProgress(100)
	d.w.mustProduce(t, "filler", 0, d.filler)
	d.taken = 1
	return d
}

const fullDiskCommitted = 7

func (d *fullDisk) path(name string) string { return filepath.Join(d.disk, name) }

// fill writes until the broker takes no more, and then takes the rest of the disk.
func (d *fullDisk) fill() {
	d.t.Helper()
	d.taken += fillUp(d.t, d.w, "filler", d.filler)
	free, err := freeBytes(d.disk)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("refused after %d batches of 900 kB, with %d MB free", d.taken, free>>20)
	if d.taken < int(d.size>>20)/10 || free < 16<<20 {
		d.t.Errorf("%d batches were taken, and %d bytes are left", d.taken, free)
	}
	d.takeAll()
}

// takeAll takes every byte that there is.
func (d *fullDisk) takeAll() {
	d.t.Helper()
	file, err := os.OpenFile(d.path("rest"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		n, err := file.Write(make([]byte, size))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
		if n < size {
			size /= 4
		}
	}
	if err := file.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

// hold keeps the disk full, and asks for this and that.
func (d *fullDisk) hold(length time.Duration) {
	d.t.Helper()
	d.startReaders()
	admin := kadm.NewClient(openClient(d.t, d.b))
	for n, end := 0, time.Now().Add(length); time.Now().Before(end); n++ {
		d.takeAll() // whatever was given free meanwhile
		d.b.alive()
		switch _, code, err := d.w.produce("filler", 0, d.filler); {
		case err == nil && code == 0 && n < 20: // into a file that was there
			d.taken++
		case err != nil || code != kafkaStorageError:
			d.t.Fatalf("produce without a byte left: code %d, %v; want KAFKA_STORAGE_ERROR", code, err)
		}
		d.refused("a commit", func(ctx context.Context) error {
			var offsets kadm.Offsets
			offsets.AddOffset("loaded", 1, 1, -1)
			answers, err := admin.CommitOffsets(ctx, "meanwhile", offsets)
			return errors.Join(err, answers.Error())
		})
		d.refused("a new topic", func(ctx context.Context) error {
			_, err := admin.CreateTopic(ctx, 1, 1, nil, fmt.Sprintf("meanwhile-%d", n))
			return err
		})
		time.Sleep(100 * time.Millisecond)
	}
	d.endReaders()
	if free, err := freeBytes(d.disk); err != nil || free > 1<<20 {
		d.t.Errorf("%d bytes are free on the full disk, %v", free, err)
	}
}

// refused asks for what needs room. It may work, for there may be some in files that exist.
func (d *fullDisk) refused(what string, ask func(context.Context) error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Second)
	defer cancel()
	if err := ask(ctx); err == nil {
		d.answered(what+" that worked", 0)
	}
}

func (d *fullDisk) answered(what string, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[what]++
	d.slowest[what] = max(d.slowest[what], took)
}

// startReaders asks for what needs no room until endReaders.
func (d *fullDisk) startReaders() {
	ctx, cancel := context.WithCancel(d.t.Context())
	d.stopReaders = cancel
	taken := int64(d.taken)
	for what, ask := range map[string]func(*wire) error{
		"fetch": func(w *wire) error {
			offset := rand.Int64N(taken)
			p, err := w.fetch("filler", 0, offset)
			if err == nil && (p.ErrorCode != 0 || len(p.RecordBatches) < len(d.filler)) {
				err = fmt.Errorf("at %d: code %d, %d bytes", offset, p.ErrorCode, len(p.RecordBatches))
			}
			return err
		},
		"metadata":     func(w *wire) error { return askMetadata(w, "filler") },
		"group offset": askCommitted,
	} {
		d.readers.Go(func() {
			w, err := dialWire(d.b.addr)
			if err != nil {
				d.t.Error(err)
				return
			}
			defer w.close()
			w.limit = fullDiskAnswer
			for ctx.Err() == nil {
				began := time.Now()
				err := ask(w)
				for errors.Is(err, errCoordinator) && time.Since(began) < fullDiskAnswer {
					time.Sleep(10 * time.Millisecond)
					err = ask(w)
				}
				if err != nil {
					d.t.Errorf("%s without a byte left: %v", what, err)
					return
				}
				d.answered(what, time.Since(began))
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func askMetadata(w *wire, topic string) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	resp, err := w.ask(req)
	if err != nil {
		return err
	}
	if of := resp.(*kmsg.MetadataResponse).Topics[0]; of.ErrorCode != 0 || len(of.Partitions) == 0 || of.Partitions[0].ErrorCode != 0 {
		return fmt.Errorf("%s: %+v", topic, of)
	}
	return nil
}

var errCoordinator = errors.New("the coordinator is being loaded")

// askCommitted asks for what was committed before the disk was full. A write that meets the end of the disk costs the coordinator:
// it is loaded anew.
func askCommitted(w *wire) error {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 7
	req.Group = "before"
	resp, err := w.ask(req)
	if err != nil {
		return err
	}
	got := resp.(*kmsg.OffsetFetchResponse)
	if got.ErrorCode == kerr.CoordinatorLoadInProgress.Code || got.ErrorCode == kerr.NotCoordinator.Code {
		return errCoordinator
	}
	if got.ErrorCode != 0 || len(got.Topics) != 1 || got.Topics[0].Partitions[0].Offset != fullDiskCommitted {
		return fmt.Errorf("%+v", got)
	}
	return nil
}

func (d *fullDisk) endReaders() {
	d.stopReaders()
	d.readers.Wait()
	defer clear(d.answers)
	defer clear(d.slowest)
	for what, n := range d.answers {
		d.t.Logf("without a byte left: %d of %s, the slowest in %v", n, what, d.slowest[what].Round(time.Millisecond))
	}
	for _, what := range []string{"fetch", "metadata", "group offset"} {
		if d.answers[what] < 10 {
			d.t.Errorf("only %d of %s were answered without a byte left", d.answers[what], what)
		}
	}
}

// free gives the room back that others had taken; the load goes on by itself.
func (d *fullDisk) free() {
	d.t.Helper()
	began := time.Now()
	for _, name := range []string{"rest", "theirs"} { // the second is there the first time only
		if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Fatal(err)
		}
	}
	d.load.waitProgress(1)
	took := time.Since(began)
	waitResumed(d.t, d.w, "filler", d.filler)
	d.taken++
	d.t.Logf("with room again the first acknowledgement came after %v", took.Round(time.Millisecond))
	if took > fullDiskResumes {
		d.t.Errorf("with room again the first acknowledgement came after %v", took)
	}
	d.afterwards++
	topic := fmt.Sprintf("afterwards-%d", d.afterwards)
	createTopic(d.t, d.b, topic, 1)
	d.w.mustProduce(d.t, topic, 0, recordBatch([]byte("a")))
}

// crash kills the process while there is no byte left, and starts it again with and without room.
func (d *fullDisk) crash() {
	d.t.Helper()
	d.takeAll()
	d.b.kill9()
	d.b.exec()
	served := d.serves()
	d.t.Logf("started without a byte left it serves: %v", served)
	if err := os.Remove(d.path("rest")); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.b.exited:
		d.b.exec()
	default:
	}
	d.b.waitReady(readyWithin)
	d.load.waitProgress(1000)
}

// serves waits until the broker serves or has ended, or some seconds have gone by.
func (d *fullDisk) serves() bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-d.b.exited:
			return false
		default:
		}
		if d.b.ready() == nil {
			return true
		}
	}
	return false
}

// finish ends the load and reads everything, after one more kill.
func (d *fullDisk) finish() {
	d.t.Helper()
	d.stopLoad()
	d.loading.Wait()
	d.b.kill9()
	d.b.start()
	d.load.check(true)
	readAll(d.t, openWire(d.t, d.b.addr), "filler", d.taken)
	eventually(d.t, 10*time.Second, "the group has committed what it had", func() bool { return askCommitted(openWire(d.t, d.b.addr)) == nil })
	d.b.verify()
}
