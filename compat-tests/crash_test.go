package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKillNineLosesNothingAcknowledged kills the broker twenty times in the middle of a load of real input by three
// producers at once. Afterwards everything acknowledged is at its offset; what the idempotent producers sent is there once
// and in order.
func TestKillNineLosesNothingAcknowledged(t *testing.T) {
	const kills = 20
	c := realInput(t)
	needTool(t, "kcat")
	b := startBroker(t)
	idempotent := newCrashLoad(t, b, c, "idempotent", 12, kgo.StopProducerOnDataLossDetected())
	plain := newCrashLoad(t, b, c, "acks-one", 3, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	kcat := newKcatLoad(t, b, c, "kcat", 12)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { idempotent.run(ctx) })
	running.Go(func() { plain.run(ctx) })
	running.Go(func() { kcat.run(ctx) })

	var slowest time.Duration
	for range kills {
		idempotent.waitProgress(300)
		plain.waitProgress(100)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		b.kill9()
		began := time.Now()
		b.start()
		slowest = max(slowest, time.Since(began))
	}
	idempotent.waitProgress(300)
	cancel()
	running.Wait()
	t.Logf("%d kills; slowest start until ready %v; %d and %d records acknowledged, %d sent by kcat",
		kills, slowest.Round(time.Millisecond), len(idempotent.acked), len(plain.acked), kcat.sent)
	if slowest > 10*time.Second && !againstKafka {
		t.Errorf("a start after kill -9 took %v", slowest)
	}
	idempotent.check(true)
	plain.check(false)
	kcat.check()
	b.verify()
}

// crashLoad is one franz-go producer that sends numbered lines until its context ends.
type crashLoad struct {
	t          *testing.T
	sys        system
	c          *corpus
	topic      string
	partitions int
	pause      time.Duration // between two records
	client     *kgo.Client

	mu    sync.Mutex
	acked map[int]kgo.Record // by number; only Partition and Offset are set
	moved chan struct{}      // has a token after an acknowledgement
	sent  int
}

func newCrashLoad(t *testing.T, sys system, c *corpus, topic string, partitions int, opts ...kgo.Opt) *crashLoad {
	createTopic(t, sys, topic, partitions)
	opts = slices.Concat(opts, backSoon,
		[]kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.MaxBufferedRecords(2000), kgo.ProducerBatchMaxBytes(100_000)})
	return &crashLoad{
		t: t, sys: sys, c: c, topic: topic, partitions: partitions, client: openClient(t, sys, opts...),
		acked: map[int]kgo.Record{}, moved: make(chan struct{}, 1),
	}
}

// numbered is line n of a corpus that is repeated without end.
func numbered(c *corpus, n int) []byte {
	line := c.lines[n%len(c.lines)]
	own, _ := number(line)
	rest := line[len(linePrefix)+len(fmt.Sprint(own)):]
	return fmt.Appendf(nil, "%s%d%s", linePrefix, n, rest)
}

// run sends until ctx ends and then waits for the acknowledgements of all that it sent.
func (l *crashLoad) run(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(l.pause) {
		n := l.sent
		l.sent++
		l.client.Produce(l.t.Context(), &kgo.Record{Key: fmt.Append(nil, n%100), Value: numbered(l.c, n)},
			func(r *kgo.Record, err error) {
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						l.t.Errorf("%s: record %d: %v", l.topic, n, err)
					}
					return
				}
				l.mu.Lock()
				l.acked[n] = kgo.Record{Partition: r.Partition, Offset: r.Offset}
				l.mu.Unlock()
				select {
				case l.moved <- struct{}{}:
				default:
				}
			})
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	if err := l.client.Flush(ctx); err != nil {
		l.t.Errorf("%s: flush: %v", l.topic, err)
	}
}

// waitProgress waits until n more records are acknowledged.
func (l *crashLoad) waitProgress(n int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	goal := count() + n
	timeout := time.After(time.Minute)
	for count() < goal {
		select {
		case <-l.moved:
		case <-timeout:
			l.t.Fatalf("%s: nothing acknowledged for a minute", l.topic)
		}
	}
}

// check reads the topic and holds it against the acknowledgements; once says that no number may come twice and that the
// numbers of each key rise.
func (l *crashLoad) check(once bool) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[int]bool{}
	lastOfKey := map[string]int{}
	faults := 0
	fault := func(format string, args ...any) {
		if faults++; faults <= 10 {
			l.t.Errorf(l.topic+": "+format, args...)
		}
	}
	found := 0
	for r := range records(l.t, l.sys, l.topic, endOffsets(l.t, l.sys, l.topic, l.partitions)) {
		n, err := number(r.Value)
		if err != nil || string(r.Value) != string(numbered(l.c, n)) {
			fault("%d-%d: not what was sent: %.80q", r.Partition, r.Offset, r.Value)
			continue
		}
		if ack, ok := l.acked[n]; ok && ack.Partition == r.Partition && ack.Offset == r.Offset {
			found++
		}
		if !once {
			continue
		}
		if seen[n] {
			fault("%d-%d: record %d a second time", r.Partition, r.Offset, n)
		}
		if last, ok := lastOfKey[string(r.Key)]; ok && n <= last {
			fault("%d-%d: record %d after %d", r.Partition, r.Offset, n, last)
		}
		seen[n], lastOfKey[string(r.Key)] = true, n
	}
	if found != len(l.acked) {
		fault("%d of %d acknowledged records are not at their offset", len(l.acked)-found, len(l.acked))
	}
}

// kcatLoad is kcat with an idempotent librdkafka producer, fed line by line. It says nothing of single acknowledgements,
// but it ends with 0 only if all were acknowledged.
type kcatLoad struct {
	t          *testing.T
	b          *broker
	c          *corpus
	topic      string
	partitions int
	sent       int
}

func newKcatLoad(t *testing.T, b *broker, c *corpus, topic string, partitions int) *kcatLoad {
	createTopic(t, b, topic, partitions)
	return &kcatLoad{t: t, b: b, c: c, topic: topic, partitions: partitions}
}

func (l *kcatLoad) run(ctx context.Context) {
	cmd := exec.Command("kcat", "-P", "-E", "-b", l.b.addr, "-t", l.topic, "-X", "enable.idempotence=true",
		"-X", "reconnect.backoff.max.ms=200", "-X", "linger.ms=5")
	cmd.SysProcAttr = dieWithParent()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		l.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		l.t.Error(err)
		return
	}
	var failed atomic.Bool
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && !failed.Load() {
		for range 20 {
			if _, err := stdin.Write(append(numbered(l.c, l.sent), '\n')); err != nil {
				if !errors.Is(err, io.ErrClosedPipe) {
					l.t.Errorf("kcat takes no more lines: %v", err)
				}
				failed.Store(true)
				break
			}
			l.sent++
		}
		<-tick.C
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		l.t.Errorf("kcat: %v", err)
	}
}

// check wants every line once and rising numbers within each partition.
func (l *kcatLoad) check() {
	l.t.Helper()
	last := map[int32]int{}
	got, faults := 0, 0
	for r := range records(l.t, l.b, l.topic, endOffsets(l.t, l.b, l.topic, l.partitions)) {
		n, err := number(r.Value)
		before, ok := last[r.Partition]
		if (err != nil || (ok && n <= before)) && faults < 10 {
			faults++
			l.t.Errorf("kcat: %d-%d: record %d after %d (%v)", r.Partition, r.Offset, n, before, err)
		}
		last[r.Partition] = n
		got++
	}
	if got != l.sent {
		l.t.Errorf("kcat: %d records, sent %d", got, l.sent)
	}
}
