package partition

import (
	"slices"
	"strings"
	"testing"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

func TestOffsetInsideABatchReadsTheWholeBatch(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a", "b", "c")).waitOK()
	n.send(p, -1, batch("d")).waitOK()
	if got := values(t, p.Read(fetch(1))); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Fatalf("read %q", got)
	}
}

func TestFirstBatchIsReadWhateverItsSize(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch(strings.Repeat("a", 5000))).waitOK()
	n.send(p, -1, batch("b")).waitOK()
	r := fetch(0)
	r.MaxBytes = 10
	if got := values(t, p.Read(r)); len(got) != 1 || len(got[0]) != 5000 {
		t.Fatalf("read %d values", len(got))
	}
	r.MinOneBatch = false
	if got := values(t, p.Read(r)); len(got) != 0 {
		t.Fatalf("read %d values where none fits", len(got))
	}
}

func TestReadsOutsideTheLog(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	for _, v := range []string{"a", "b", "c"} {
		n.send(p, -1, batch(v)).waitOK()
	}
	if low, err := p.DeleteRecords(1); err != nil || low != 1 {
		t.Fatalf("deleted up to %d, %v", low, err)
	}
	for _, offset := range []int64{-1, 0, 4} {
		res := p.Read(fetch(offset))
		wantErr(t, res.Err, kafkaproto.ErrOffsetOutOfRange)
		if res.HighWatermark != -1 || res.LastStable != -1 || res.LogStart != -1 {
			t.Fatalf("offset %d: high watermark %d, last stable %d, log start %d", offset, res.HighWatermark, res.LastStable, res.LogStart)
		}
	}
	if got := values(t, p.Read(fetch(3))); len(got) != 0 {
		t.Fatalf("read %q at the end", got)
	}
	if got := values(t, p.Read(fetch(1))); !slices.Equal(got, []string{"b", "c"}) {
		t.Fatalf("read %q", got)
	}
}

func TestEmptyLogHasItsStartAsLastStableOffset(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	if _, err := p.DeleteRecords(-1); err != nil {
		t.Fatal(err)
	}
	r := fetch(1)
	r.ReadCommitted = true
	res := p.Read(r)
	if got := values(t, res); len(got) != 0 || res.LastStable != 1 || res.LogStart != 1 || res.HighWatermark != 1 {
		t.Fatalf("%q, last stable %d, start %d, high watermark %d", got, res.LastStable, res.LogStart, res.HighWatermark)
	}
}

func TestLeaderEpochsOfReadersAreChecked(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	n.restart()
	p = n.partition(p.id.Topic, 0)
	n.send(p, -1, batch("b")).waitOK()

	old, future := fetch(0), fetch(0)
	old.CurrentLeaderEpoch, future.CurrentLeaderEpoch = 0, 2
	wantErr(t, p.Read(old).Err, kafkaproto.ErrFencedLeaderEpoch)
	res := p.Read(future)
	wantErr(t, res.Err, kafkaproto.ErrUnknownLeaderEpoch)
	if res.LeaderID != 1 || res.LeaderEpoch != 1 {
		t.Fatalf("leader %d epoch %d", res.LeaderID, res.LeaderEpoch)
	}

	// Its first record was written in epoch 0, so a reader that says so agrees at 1, and one that has read further in
	// epoch 0 does not.
	same, other := fetch(1), fetch(2)
	same.LastFetchedEpoch, other.LastFetchedEpoch = 0, 0
	if got := values(t, p.Read(same)); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("read %q", got)
	}
	res = p.Read(other)
	if res.Err != nil || res.Read != nil || res.Diverging == nil || res.Diverging.Epoch != 0 || res.Diverging.End != 1 {
		t.Fatalf("diverging %+v, %v", res.Diverging, res.Err)
	}
	beyond := fetch(5) // as a replica may be after an unclean election: it must hear where to go back to
	beyond.LastFetchedEpoch = 1
	if res = p.Read(beyond); res.Err != nil || res.Diverging == nil || res.Diverging.Epoch != 1 || res.Diverging.End != 2 {
		t.Fatalf("diverging %+v beyond the end, %v", res.Diverging, res.Err)
	}
	unheard := fetch(1)
	unheard.LastFetchedEpoch = 7
	wantErr(t, p.Read(unheard).Err, kafkaproto.ErrOffsetOutOfRange)
}

func TestReadersThatAreNoReplicaAreRefused(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	r := fetch(0)
	r.ReplicaID = 1
	wantErr(t, p.Read(r).Err, kafkaproto.ErrNotLeaderOrFollower)
	r.ReplicaID, r.CurrentLeaderEpoch = 2, 0
	wantErr(t, p.Read(r).Err, kafkaproto.ErrUnknownLeaderEpoch)
}

func TestFollowersReadToTheWrittenEndAndRaiseTheHighWatermark(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.happen(&controller.PartitionChanged{Topic: p.id.Topic, Partition: controller.Partition{
		Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1,
	}})
	all, one := n.send(p, -1, batch("a")), n.send(p, 1, batch("b"))
	one.waitOK()
	all.silent()
	sees(t, p, 0)
	r := fetch(0)
	r.ReplicaID, r.FlushedEnd = 2, 0
	if got := values(t, p.Read(r)); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("the follower reads %q", got)
	}
	r.Offset, r.FlushedEnd = 2, 1
	res := p.Read(r)
	bytesOf(t, res)
	if res.HighWatermark != 1 {
		t.Fatalf("high watermark %d", res.HighWatermark)
	}
	all.waitOK()
	sees(t, p, 1, "a")
	r.FlushedEnd = 2
	bytesOf(t, p.Read(r))
	sees(t, p, 2, "a", "b")
}

// yes lets every transaction in, at once.
type yes struct{}

func (yes) Verify(_ VerifyRequest, done func(error)) { done(nil) }

func (n *testNode) withVerifier(v Verifier) { n.manager.verifier = v }

// marker ends a transaction and waits for the marker to be committed.
func (n *testNode) marker(p *Partition, id int64, epoch int16, commit bool) AppendResult {
	n.t.Helper()
	r := newReply(n.t)
	p.AppendMarker(MarkerRequest{
		ProducerID: kafkaproto.ProducerID(id), ProducerEpoch: kafkaproto.ProducerEpoch(epoch), Commit: commit,
		Done: func(res AppendResult) { r.results <- res }, Timeout: 1 << 40,
	})
	return r.waitOK()
}

func TestReadCommittedStopsAtTheLastStableOffset(t *testing.T) {
	n := startNode(t, "always")
	n.withVerifier(yes{})
	p := n.one("t")
	n.send(p, -1, batch("plain")).waitOK()
	n.send(p, -1, build(producer(1, 0, 0, true), "kept")).waitOK()
	n.send(p, -1, build(producer(2, 0, 0, true), "gone")).waitOK()

	committed := fetch(0)
	committed.ReadCommitted = true
	res := p.Read(committed)
	if got := values(t, res); !slices.Equal(got, []string{"plain"}) || res.LastStable != 1 || res.HighWatermark != 3 {
		t.Fatalf("read %q, last stable %d, high watermark %d", got, res.LastStable, res.HighWatermark)
	}
	if p.Available(1, true) != 0 || p.Available(1, false) == 0 {
		t.Fatal("only stable bytes count for read committed")
	}
	latest, _ := p.ListOffset(ListRequest{Timestamp: LatestTimestamp, ReadCommitted: true, CurrentLeaderEpoch: -1})
	if latest.Offset != 1 {
		t.Fatalf("latest is %d", latest.Offset)
	}

	n.marker(p, 2, 0, false)
	n.marker(p, 1, 0, true)
	res = p.Read(committed)
	if res.LastStable != 5 || !slices.Equal(dropMarkers(t, p, committed), []string{"plain", "kept", "gone"}) {
		t.Fatalf("last stable %d", res.LastStable)
	}
	defer res.Read.Release()
	if len(res.Aborted) != 1 || res.Aborted[0].Producer != 2 || res.Aborted[0].First != 2 {
		t.Fatalf("aborted: %+v", res.Aborted)
	}

	uncommitted := p.Read(fetch(0))
	if uncommitted.Aborted != nil {
		t.Fatalf("read uncommitted got aborted transactions: %+v", uncommitted.Aborted)
	}
	uncommitted.Read.Release()
}

// dropMarkers reads the values of batches that are not control batches.
func dropMarkers(t *testing.T, p *Partition, r ReadRequest) []string {
	t.Helper()
	var out []string
	rest := bytesOf(t, p.Read(r))
	for len(rest) > 0 {
		b, next, err := kafkaproto.NextBatch(rest)
		if err != nil {
			t.Fatal(err)
		}
		if !b.IsControl() {
			_ = kafkaproto.Records(b, func(r kafkaproto.Record) error {
				out = append(out, string(r.Value))
				return nil
			})
		}
		rest = next
	}
	return out
}

func TestAbortedTransactionsAreSortedByFirstOffset(t *testing.T) {
	n := startNode(t, "always")
	n.withVerifier(yes{})
	p := n.one("t")
	for id := int64(1); id <= 5; id++ {
		n.send(p, -1, build(producer(id, 0, 0, true), "x")).waitOK()
	}
	for id := int64(5); id >= 1; id-- {
		n.marker(p, id, 0, false)
	}
	r := fetch(0)
	r.ReadCommitted = true
	res := p.Read(r)
	defer res.Read.Release()
	if len(res.Aborted) != 5 || !slices.IsSortedFunc(res.Aborted, func(a, b log.AbortedTxn) int { return int(a.First - b.First) }) {
		t.Fatalf("aborted: %+v", res.Aborted)
	}
}
