package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLogDirs has a broker with two data directories: replicas are spread over them, move while they are written, are where they
// were after kill -9, and those of a directory that is missing wait for it. kafka-log-dirs shows it all.
func TestLogDirs(t *testing.T) {
	b := newBroker(t)
	other := filepath.Join(filepath.Dir(b.dir), "other")
	b.flags = append(b.flags, "--data-dir", b.dir+","+other)
	b.start()
	const partitions = 4
	createTopic(t, b, "moving", partitions)
	x := startTools(t, b)
	inDir := func() map[string]int { return replicasIn(t, x, "moving") }
	if got := inDir(); got[b.dir] != 2 || got[other] != 2 {
		t.Fatalf("spread as %v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan [partitions]int64, 1)
	client := openClient(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond))
	go func() {
		var ends [partitions]int64
		for i := 0; ctx.Err() == nil; i++ {
			p := int32(i % partitions)
			r, err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "moving", Partition: p, Value: fmt.Appendf(nil, "%d/%d", p, i/partitions)}).First()
			if err != nil || r.Offset != ends[p] {
				t.Errorf("record %d of partition %d: at %d, %v", ends[p], p, r.Offset, err)
				break
			}
			ends[p]++
		}
		sent <- ends
	}()
	admin := startDriver(t, b, clientNamed(t, "kafka-clients-4.3.1"))
	for _, to := range []string{other, b.dir, other} {
		admin.must("move_replicas", fields{"topic": "moving", "partitions": partitions, "broker": 1, "to": to}, nil)
		eventually(t, 30*time.Second, "all partitions are in "+to, func() bool { return inDir()[to] == partitions })
	}
	stop()
	ends := <-sent
	b.kill9()
	b.start()
	if got := inDir(); got[other] != partitions {
		t.Errorf("after kill -9 they are in %v", got)
	}
	next := [partitions]int64{}
	for r := range records(t, b, "moving", ends[:]) {
		if want := fmt.Sprintf("%d/%d", r.Partition, next[r.Partition]); string(r.Value) != want || r.Offset != next[r.Partition] {
			t.Fatalf("partition %d has %q at %d, want %q", r.Partition, r.Value, r.Offset, want)
		}
		next[r.Partition]++
	}
	if next != ends {
		t.Errorf("read up to %v, written up to %v", next, ends)
	}
	withoutADirectory(t, b, inDir, other)
}

// replicasIn has kafka-log-dirs count a topic's replicas by directory: offline for one that can't be read, nil while any is
// moving.
func replicasIn(t *testing.T, x *toolbox, topic string) map[string]int {
	t.Helper()
	var said struct {
		Brokers []struct {
			LogDirs []struct {
				LogDir     string
				Error      *string
				Partitions []struct{ IsFuture bool }
			}
		}
	}
	out := x.run(t, tool("LogDirsCommand --describe --topic-list", topic))
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &said); err != nil || len(said.Brokers) != 1 {
		t.Fatalf("%v in\n%s", err, out)
	}
	count := map[string]int{}
	for _, d := range said.Brokers[0].LogDirs {
		count[d.LogDir] = len(d.Partitions)
		if d.Error != nil {
			count[d.LogDir] = offline
		}
		for _, p := range d.Partitions {
			if p.IsFuture {
				return nil
			}
		}
	}
	return count
}

const offline = -1

// withoutADirectory starts the broker while a directory is away: what is in the other one is served, and what was in that is there
// when it is back.
func withoutADirectory(t *testing.T, b *broker, inDir func() map[string]int, other string) {
	createTopic(t, b, "filler", 1)
	b.stop()
	if err := os.Rename(other, other+".away"); err != nil {
		t.Fatal(err)
	}
	b.start()
	if got := inDir(); got[other] != offline || got[b.dir] != 0 {
		t.Errorf("with %s away: %v", other, got)
	}
	createTopic(t, b, "fresh", 2)
	client := openClient(t, b)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "fresh", Value: []byte("a")}).FirstErr(); err != nil {
		t.Error(err)
	}
	b.stop()
	if err := os.Rename(other+".away", other); err != nil {
		t.Fatal(err)
	}
	b.start()
	if got := inDir(); got[other] != 4 {
		t.Errorf("with %s back: %v", other, got)
	}
	b.verify()
	verifyDirectory(t, other)
}
