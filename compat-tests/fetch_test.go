package compat

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	offsetOutOfRange       = 1
	sessionNotFound        = 70
	invalidSessionEpoch    = 71
	fencedLeaderEpoch      = 74
	unknownLeaderEpoch     = 75
	maxFetchBytes          = 55 << 20
	fetchResponseAllowance = 2 << 20 // a batch over the limit, and what is around the batches
)

// TestOffsetInsideABatch gives the whole batch.
func TestOffsetInsideABatch(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "inside", 1)
	w := openWire(t, b.addr)
	w.mustProduce(t, "inside", 0, recordBatch([]byte("a"), []byte("b"), []byte("c")))
	w.mustProduce(t, "inside", 0, recordBatch([]byte("d"), []byte("e")))
	for offset, first := range map[int64]int64{0: 0, 1: 0, 2: 0, 3: 3, 4: 3} {
		p, err := w.fetch("inside", 0, offset)
		if err != nil || p.ErrorCode != 0 {
			t.Fatalf("at %d: code %d, %v", offset, p.ErrorCode, err)
		}
		if got := readBatches(t, p.RecordBatches); len(got) == 0 || got[0].FirstOffset != first {
			t.Errorf("at %d: %d batches", offset, len(got))
		}
	}
	for _, offset := range []int64{-1, 6, 1 << 40} {
		if p, err := w.fetch("inside", 0, offset); err != nil || p.ErrorCode != offsetOutOfRange {
			t.Errorf("at %d: code %d, %v, want OFFSET_OUT_OF_RANGE", offset, p.ErrorCode, err)
		}
	}
}

// TestFirstBatchOverTheLimit comes all the same, or a consumer would stand still; the second does not.
func TestFirstBatchOverTheLimit(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "over", 1)
	w := openWire(t, b.addr)
	for range 2 {
		w.mustProduce(t, "over", 0, recordBatch(make([]byte, 50_000)))
	}
	for _, limits := range [][2]int32{{1000, 1 << 20}, {1 << 20, 1000}, {1, 1}} {
		req := fetchRequest("over", 0, 0)
		req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = limits[0], limits[1]
		p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if got := readBatches(t, p.RecordBatches); len(got) != 1 || got[0].FirstOffset != 0 {
			t.Errorf("limits %v: %d batches, %d bytes", limits, len(got), len(p.RecordBatches))
		}
	}
}

// TestFetchAnswersByMaxWait: with nothing to read, and with less than minBytes; and at once when there is enough.
func TestFetchAnswersByMaxWait(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "wait", 1)
	w := openWire(t, b.addr)
	timed := func(req *kmsg.FetchRequest) (time.Duration, int) {
		began := time.Now()
		p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Errorf("code %d", p.ErrorCode)
		}
		return time.Since(began), len(p.RecordBatches)
	}
	req := fetchRequest("wait", 0, 0)
	req.MaxWaitMillis = 300
	if took, n := timed(req); took < 250*time.Millisecond || took > 3*time.Second || n != 0 {
		t.Errorf("nothing there: %d bytes after %v", n, took)
	}
	w.mustProduce(t, "wait", 0, recordBatch([]byte("x")))
	req.MinBytes = 100_000
	if took, n := timed(req); took < 250*time.Millisecond || took > 3*time.Second || n == 0 {
		t.Errorf("less than minBytes: %d bytes after %v", n, took)
	}
	req.MinBytes, req.MaxWaitMillis = 1, 20_000
	if took, n := timed(req); took > 3*time.Second || n == 0 {
		t.Errorf("enough: %d bytes after %v", n, took)
	}
	req.Topics[0].Partitions[0].FetchOffset = 1
	other := openWire(t, b.addr)
	time.AfterFunc(100*time.Millisecond, func() { other.produce("wait", 0, recordBatch([]byte("y"))) })
	if took, n := timed(req); took > 10*time.Second || n == 0 {
		t.Errorf("woken by a produce: %d bytes after %v", n, took)
	}
}

// TestReadAfterAcknowledgement: what is acknowledged is there for the next fetch, on any connection, every time.
func TestReadAfterAcknowledgement(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "after", 1)
	w, r := openWire(t, b.addr), openWire(t, b.addr)
	for i := range 200 {
		value := strings.Repeat("v", i)
		offset := w.mustProduce(t, "after", 0, recordBatch([]byte(value)))
		p, err := r.fetch("after", 0, offset)
		if err != nil || p.HighWatermark != offset+1 || len(readBatches(t, p.RecordBatches)) != 1 {
			t.Fatalf("after the acknowledgement of %d: high watermark %d, %d bytes, %v", offset, p.HighWatermark, len(p.RecordBatches), err)
		}
	}
}

// TestLeaderEpochs are given, and checked wherever a client says which it knows, also without a session.
func TestLeaderEpochs(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "epoch", 1)
	w := openWire(t, b.addr)
	w.mustProduce(t, "epoch", 0, recordBatch([]byte("a")))
	if !againstKafka {
		b.stop() // a start is a new epoch
		b.start()
		w = openWire(t, b.addr)
		w.mustProduce(t, "epoch", 0, recordBatch([]byte("b")))
	}
	_, rt := describe(t, w, 12, "epoch")
	epoch := rt.Partitions[0].LeaderEpoch
	if epoch < 0 || (epoch == 0 && !againstKafka) {
		t.Fatalf("leader epoch %d", epoch)
	}
	check := func(what string, asked int32, code int16) {
		var want int16
		if asked > epoch {
			want = unknownLeaderEpoch
		} else if asked >= 0 && asked < epoch {
			want = fencedLeaderEpoch
		}
		if code != want {
			t.Errorf("%s with epoch %d (it is %d): code %d, want %d", what, asked, epoch, code, want)
		}
	}
	for _, asked := range []int32{-1, epoch, epoch + 1, epoch - 1} {
		if asked < -1 {
			continue
		}
		fetch := fetchRequest("epoch", 0, 0)
		fetch.Topics[0].Partitions[0].CurrentLeaderEpoch = asked
		check("fetch", asked, w.must(t, fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
		list := listOffsetsRequest("epoch", -1, 0)
		list.Topics[0].Partitions[0].CurrentLeaderEpoch = asked
		answer := w.must(t, list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		check("ListOffsets", asked, answer.ErrorCode)
		if answer.ErrorCode == 0 && answer.LeaderEpoch != epoch {
			t.Errorf("ListOffsets gives epoch %d", answer.LeaderEpoch)
		}
		check("OffsetForLeaderEpoch", asked, epochEnd(t, w, "epoch", asked, epoch).ErrorCode)
	}
	end := epochEnd(t, w, "epoch", epoch, epoch)
	if end.LeaderEpoch != epoch || end.EndOffset != endOffsets(t, b, "epoch", 1)[0] {
		t.Errorf("end of epoch %d: %+v", epoch, end)
	}
	if againstKafka {
		return
	}
	if first := epochEnd(t, w, "epoch", epoch, 0); first.EndOffset != 1 && first.EndOffset != -1 {
		t.Errorf("end of the first epoch: %+v", first)
	}
	diverged := fetchRequest("epoch", 0, 2)
	diverged.Topics[0].Partitions[0].LastFetchedEpoch = 0
	p := w.must(t, diverged).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.DivergingEpoch.EndOffset < 0 || p.DivergingEpoch.EndOffset >= 2 || len(p.RecordBatches) > 0 {
		t.Errorf("a fetch behind the end of its epoch: code %d, diverging %+v, %d bytes", p.ErrorCode, p.DivergingEpoch, len(p.RecordBatches))
	}
}

func epochEnd(t testing.TB, w *wire, topic string, current, asked int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = 4
	req.ReplicaID = -1
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.CurrentLeaderEpoch, rp.LeaderEpoch = current, asked
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return w.must(t, req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
}

// TestEmptyLog: high watermark, last stable offset and log start are equal, at 0 and after everything was deleted.
func TestEmptyLog(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "empty", 1)
	w := openWire(t, b.addr)
	req := fetchRequest("empty", 0, 0)
	req.MaxWaitMillis, req.IsolationLevel = 10, 1
	p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.HighWatermark != 0 || p.LastStableOffset != 0 || p.LogStartOffset != 0 {
		t.Errorf("never written: %+v", p)
	}
	w.mustProduce(t, "empty", 0, recordBatch([]byte("a"), []byte("b")))
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.Version = 2
	del.TimeoutMillis = 10_000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: "empty", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: -1}},
	}}
	w.must(t, del)
	req.Topics[0].Partitions[0].FetchOffset = 2
	p = w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.HighWatermark != 2 || p.LastStableOffset != 2 || p.LogStartOffset != 2 || len(p.RecordBatches) > 0 {
		t.Errorf("all deleted: %+v", p)
	}
}

// TestFetchSessions (KIP-227): an incremental fetch gives what is new, partitions can be forgotten and added, a wrong
// epoch or session is told, and errors do not end the session.
func TestFetchSessions(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "session", 2)
	w := openWire(t, b.addr)
	ask := func(id, epoch int32, change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		t.Helper()
		req := fetchRequest("session", 0, 0)
		req.SessionID, req.SessionEpoch, req.MaxWaitMillis, req.Topics = id, epoch, 10, nil
		change(req)
		return w.must(t, req).(*kmsg.FetchResponse)
	}
	with := func(partition int32, offset int64) func(*kmsg.FetchRequest) {
		return func(req *kmsg.FetchRequest) {
			full := fetchRequest("session", partition, offset)
			req.Topics = append(req.Topics, full.Topics...)
		}
	}
	nothing := func(*kmsg.FetchRequest) {}

	first := ask(0, 0, func(req *kmsg.FetchRequest) {
		with(0, 0)(req)
		with(1, 0)(req)
	})
	id := first.SessionID
	if first.ErrorCode != 0 || id == 0 || len(first.Topics) == 0 {
		t.Fatalf("a new session: %+v", first)
	}
	if got := ask(id, 1, nothing); got.ErrorCode != 0 || len(got.Topics) != 0 || got.SessionID != id {
		t.Errorf("nothing new: %+v", got)
	}
	w.mustProduce(t, "session", 1, recordBatch([]byte("x")))
	got := ask(id, 2, nothing)
	if got.ErrorCode != 0 || len(got.Topics) != 1 || got.Topics[0].Partitions[0].Partition != 1 || len(got.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("something new in partition 1: %+v", got)
	}
	if got := ask(id, 3, with(1, 1)); got.ErrorCode != 0 || bytesOf(got) > 0 {
		t.Errorf("moved on: %+v", got)
	}
	forget := func(req *kmsg.FetchRequest) {
		ft := kmsg.NewFetchRequestForgottenTopic()
		ft.Topic, ft.Partitions = "session", []int32{1}
		req.ForgottenTopics = append(req.ForgottenTopics, ft)
	}
	if got := ask(id, 4, forget); got.ErrorCode != 0 {
		t.Errorf("forget partition 1: %+v", got)
	}
	w.mustProduce(t, "session", 1, recordBatch([]byte("y")))
	w.mustProduce(t, "session", 0, recordBatch([]byte("z")))
	got = ask(id, 5, nothing)
	for _, topic := range got.Topics {
		for _, p := range topic.Partitions {
			if p.Partition != 0 {
				t.Errorf("partition %d is forgotten, but came", p.Partition)
			}
		}
	}
	if bytesOf(got) == 0 {
		t.Error("partition 0 did not come")
	}
	if got := ask(id, 9, nothing); got.ErrorCode != invalidSessionEpoch {
		t.Errorf("a wrong epoch: code %d", got.ErrorCode)
	}
	if got := ask(id+12345, 1, nothing); got.ErrorCode != sessionNotFound {
		t.Errorf("a session that isn't: code %d", got.ErrorCode)
	}
	if got := ask(id, -1, with(1, 0)); got.ErrorCode != 0 || bytesOf(got) == 0 {
		t.Errorf("the last fetch of a session: code %d, %d bytes", got.ErrorCode, bytesOf(got))
	}
	if got := ask(id, 6, nothing); got.ErrorCode != sessionNotFound {
		t.Errorf("a session that was ended: code %d", got.ErrorCode)
	}
}

func bytesOf(resp *kmsg.FetchResponse) int {
	n := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			n += len(p.RecordBatches)
		}
	}
	return n
}

// TestFetchMaxBytesOfTheBroker: no answer is larger than fetch.max.bytes (55 MiB), whatever the client asks.
func TestFetchMaxBytesOfTheBroker(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "huge", 2)
	w := openWire(t, b.addr)
	batch := recordBatch(make([]byte, 1_000_000))
	for i := range int32(80) {
		w.mustProduce(t, "huge", i%2, batch)
	}
	req := fetchRequest("huge", 0, 0)
	req.MaxBytes = 1 << 30
	req.Topics[0].Partitions[0].PartitionMaxBytes = 1 << 30
	p := req.Topics[0].Partitions[0]
	p.Partition = 1
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	n := bytesOf(w.must(t, req).(*kmsg.FetchResponse))
	if n > maxFetchBytes+fetchResponseAllowance || n < maxFetchBytes/2 {
		t.Errorf("%d bytes for a client that asks for 1 GiB of 80 MB", n)
	}
}
