package compat

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFirstAcknowledgementComesSoon: 200 ms from exec to the first acknowledged message on an empty directory, the topic
// created on the way. The best of a few tries counts, for the machine may be busy with something else.
func TestFirstAcknowledgementComesSoon(t *testing.T) {
	notKafka(t)
	const bound = 200 * time.Millisecond
	best := time.Hour
	for try := 0; try < 10 && best > bound; try++ {
		b := newBroker(t)
		took := firstAcknowledgement(t, b)
		t.Logf("first acknowledgement after %v", took.Round(100*time.Microsecond))
		best = min(best, took)
		b.stop()
	}
	if best > bound {
		t.Errorf("the first acknowledgement came after %v at best, want %v", best, bound)
	}
}

func firstAcknowledgement(t *testing.T, b *broker) time.Duration {
	t.Helper()
	began := time.Now()
	b.exec()
	for time.Since(began) < readyWithin {
		b.alive()
		w, err := dialWire(b.addr)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		acked := produceFirst(t, w)
		w.close()
		if acked {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("nothing was acknowledged")
	return 0
}

// produceFirst creates the topic by asking for its metadata, as clients do, and sends one record.
func produceFirst(t *testing.T, w *wire) bool {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 8
	req.AllowAutoTopicCreation = true
	topic := "first"
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	if _, err := w.ask(req); err != nil {
		return false
	}
	_, code, err := w.produce(topic, 0, recordBatch([]byte("hello")))
	return err == nil && code == 0
}

// TestIdleMemory: 40 MB resident while nothing happens.
func TestIdleMemory(t *testing.T) {
	notKafka(t)
	b := startBroker(t)
	time.Sleep(2 * time.Second)
	rss := memory(t, b.pid(), "VmRSS")
	t.Logf("%.1f MB resident", float64(rss)/(1<<20))
	if rss > 40<<20 {
		t.Errorf("%d MB resident while idle, want 40", rss>>20)
	}
}

// TestManyPartitionsAreOneEngine writes to 10,000 partitions: fewer than 100 open files, and fewer than 30 goroutines more
// than while idle.
func TestManyPartitionsAreOneEngine(t *testing.T) {
	notKafka(t)
	const topics, partitions = 10, 1000
	b := startBroker(t)
	idle := metric(t, b, "go_goroutines")
	began := time.Now()
	for i := range topics {
		createTopic(t, b, fmt.Sprintf("many-%d", i), partitions)
	}
	created := time.Since(began)
	w := openWire(t, b.addr)
	batch := recordBatch(make([]byte, 100))
	began = time.Now()
	for i := range topics {
		produceEverywhere(t, w, fmt.Sprintf("many-%d", i), partitions, batch)
	}
	t.Logf("10,000 partitions created in %v, written once in %v", created.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	w.close()
	if files := openFiles(t, b.pid()); files >= 100 {
		t.Errorf("%d open files, want fewer than 100", files)
	}
	var now float64
	for range 50 { // connections that were just closed take a moment
		if now = metric(t, b, "go_goroutines"); now < idle+30 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%d open files, %v goroutines (%v idle), %d MB resident", openFiles(t, b.pid()), now, idle, memory(t, b.pid(), "VmRSS")>>20)
	if now >= idle+30 {
		t.Errorf("%v goroutines, %v while idle", now, idle)
	}

	b.kill9() // and after a crash all of them are there
	began = time.Now()
	b.start()
	t.Logf("after kill -9 ready in %v", time.Since(began).Round(time.Millisecond))
	w = openWire(t, b.addr)
	for i := range topics {
		topic := fmt.Sprintf("many-%d", i)
		if offset := w.mustProduce(t, topic, partitions-1, batch); offset != 1 {
			t.Errorf("the second batch of %s is at offset %d", topic, offset)
		}
	}
}

// produceEverywhere writes the batch to all partitions of a topic with one request.
func produceEverywhere(t *testing.T, w *wire, topic string, partitions int, batch []byte) {
	t.Helper()
	req := everywhere(topic, partitions, batch)
	for _, p := range w.must(t, req).(*kmsg.ProduceResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			t.Fatalf("produce to %s-%d: code %d", topic, p.Partition, p.ErrorCode)
		}
	}
}

func everywhere(topic string, partitions int, batch []byte) *kmsg.ProduceRequest {
	req := produceRequest(topic, 0, batch)
	for p := 1; p < partitions; p++ {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition = int32(p)
		rp.Records = batch
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, rp)
	}
	return req
}

// TestIndexIsSmall writes small batches over twelve partitions: the index stays below a tenth of the log. 1 GB with
// COMPAT_FULL, else less in smaller files.
func TestIndexIsSmall(t *testing.T) {
	notKafka(t)
	size, flags := int64(160<<20), []string{"--set", "log.wal.file.bytes=16777216"}
	if full {
		size, flags = 1<<30, nil
	}
	b := startBroker(t, flags...)
	const partitions = 12
	createTopic(t, b, "small", partitions)
	values := make([][]byte, 10)
	for i := range values {
		values[i] = randomBytes(100)
	}
	batch := recordBatch(values...)
	w := openWire(t, b.addr)
	for written := int64(0); written < size; written += int64(partitions * len(batch)) {
		produceEverywhere(t, w, "small", partitions, batch)
	}
	b.stop() // seals nothing, but whatever is under way is done
	index, wal := apparentSize(t, filepath.Join(b.dir, "index")), apparentSize(t, filepath.Join(b.dir, "wal"))
	t.Logf("index %.1f MB, log %.1f MB", float64(index)/1e6, float64(wal)/1e6)
	if wal < size || index*10 >= wal {
		t.Errorf("the index has %d bytes, the log %d", index, wal)
	}
}
