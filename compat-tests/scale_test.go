package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// runProgram runs a command of the binary under test and returns what it prints.
func runProgram(t *testing.T, args ...string) []byte {
	t.Helper()
	var errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr, cmd.SysProcAttr = &errors, dieWithParent()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("streambus %s: %v\n%s%s", args, err, out, lastBytes(errors.Bytes(), 4000))
	}
	return out
}

// TestFiveThousandPartitionsComeAndGo creates and deletes 5,000 partitions with one request each. When the deletion is answered,
// neither the metadata nor the data directory knows of them any more, also not after a crash. With COMPAT_FULL each takes less than
// two seconds, the best of three times, on a node that has 5,000 others.
func TestFiveThousandPartitionsComeAndGo(t *testing.T) {
	notKafka(t)
	const partitions, bound = 5000, 2 * time.Second
	b := startBroker(t)
	if full {
		createTopic(t, b, "others", partitions)
	}
	before := metric(t, b, "streambus_log_logs")
	created, deleted := time.Hour, time.Hour
	rounds := 1
	if full {
		rounds = 3
	}
	for range rounds {
		began := time.Now()
		createTopic(t, b, "wide", partitions)
		created = min(created, time.Since(began))
		if logs := metric(t, b, "streambus_log_logs"); logs != before+partitions {
			t.Errorf("%v logs after the creation, %v before", logs, before)
		}
		w := openWire(t, b.addr)
		produceEverywhere(t, w, "wide", partitions, recordBatch(make([]byte, 100)))
		w.close()
		began = time.Now()
		runProgram(t, "topic", "delete", "wide", "-b", b.addr)
		deleted = min(deleted, time.Since(began))
		if logs := metric(t, b, "streambus_log_logs"); logs != before {
			t.Errorf("%v logs after the deletion, %v before", logs, before)
		}
	}
	t.Logf("5,000 partitions created in %v, deleted in %v", created.Round(time.Millisecond), deleted.Round(time.Millisecond))
	if full && (created > bound || deleted > bound) {
		t.Errorf("created in %v, deleted in %v, want %v", created, deleted, bound)
	}
	b.kill9()
	b.start()
	if logs := metric(t, b, "streambus_log_logs"); logs != before {
		t.Errorf("%v logs after a crash, %v before", logs, before)
	}
	topics, err := kadm.NewClient(openClient(t, b)).ListTopics(t.Context())
	if err != nil || topics.Has("wide") {
		t.Errorf("the topic after a crash: %v, %v", topics.Has("wide"), err)
	}
	b.verify()
}

// TestEveryPartitionIsReadySoonAfterKillNine loads many partitions, looks at what the node costs then, and kills it again and
// again. With COMPAT_FULL these are 10,000 partitions with 10 GB, the node rests for 30 s before it is looked at, and within a
// second of its start, the best of five times, every partition has told its end and given its last batch, and has acknowledged a
// record with acks=all.
func TestEveryPartitionIsReadySoonAfterKillNine(t *testing.T) {
	notKafka(t)
	partitions, size, rounds, bound := 2000, int64(8_000_000), 2, 30*time.Second
	if full {
		partitions, size, rounds, bound = 10_000, 10_000_000_000, 5, time.Second
	}
	b := startBroker(t)
	createTopic(t, b, "many", partitions)
	load := func(bytes int64) {
		t.Helper()
		runProgram(t, "bench", "produce", "-b", b.addr, "--topic", "many", "--acks", "all", "--bytes", strconv.FormatInt(bytes, 10), "--batch", "10", "--connections", "4", "--in-flight", "20", "-q")
	}
	load(size)
	if full {
		time.Sleep(30 * time.Second)
	}
	anonymous, files := memory(t, b.pid(), "RssAnon"), openFiles(t, b.pid())
	t.Logf("%d partitions: %d MB of anonymous memory, %d open files", partitions, anonymous>>20, files)
	if anonymous > 300<<20 || files >= 100 {
		t.Errorf("%d MB of anonymous memory, want at most 300; %d open files, want fewer than 100", anonymous>>20, files)
	}
	best := time.Hour
	for round := 0; round < rounds && (best > bound || !full); round++ {
		if round > 0 {
			load(int64(partitions) * 10 * 100 * 2) // so that the last batches are the load's, not those of the round before
		}
		b.kill9()
		ready := startReady(t, b, "many")
		b.exec()
		r := ready()
		if r.Partitions != partitions || r.Empty != 0 {
			t.Errorf("%d partitions answer, %d of them empty, want %d with records", r.Partitions, r.Empty, partitions)
		}
		t.Logf("after kill -9: a broker answers after %.3f s, all ends told after %.3f, last batches read after %.3f, records acknowledged after %.3f",
			r.Answered, r.Listed, r.Fetched, r.Produced)
		best = min(best, time.Duration(r.Produced*float64(time.Second)))
	}
	if best > bound {
		t.Errorf("all partitions were ready after %v at best, want %v", best, bound)
	}
	if files := openFiles(t, b.pid()); files >= 100 {
		t.Errorf("%d open files after a crash, want fewer than 100", files)
	}
	b.waitReady(readyWithin)
	b.verify()
}

// readiness is what `streambus bench ready` prints.
type readiness struct {
	Partitions, Empty int
	Answered          float64 `json:"answeredSeconds"`
	Listed            float64 `json:"listedSeconds"`
	Fetched           float64 `json:"fetchedSeconds"`
	Produced          float64 `json:"producedSeconds"`
}

// startReady starts `streambus bench ready`, which waits for the broker, and returns what waits for its result. It counts from its
// own start: a little too long rather than too short.
func startReady(t *testing.T, b *broker, topic string) func() readiness {
	t.Helper()
	cmd := exec.Command(program, "bench", "ready", "-b", b.addr, "--topic", topic, "--timeout", fmt.Sprint(readyWithin), "-o", "json")
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &errors, dieWithParent()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() readiness {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("bench ready: %v\n%s%s", err, out.Bytes(), errors.Bytes())
		}
		var r readiness
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		return r
	}
}
