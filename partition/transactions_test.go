package partition

import (
	"slices"
	"testing"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// startVerifying starts a node whose questions to transaction coordinators the test answers.
func startVerifying(t *testing.T) (*testNode, *Partition, *fakeVerifier) {
	n := startNode(t, "always")
	v := newFakeVerifier()
	n.withVerifier(v)
	return n, n.one("t"), v
}

func TestFirstBatchOfATransactionIsParkedUntilItIsVerified(t *testing.T) {
	n, p, v := startVerifying(t)
	first := n.request(p, AppendRequest{
		Records: build(producer(1, 4, 0, true), "a"), Acks: -1, Timeout: 1 << 40, Client: true, Version: 12, TransactionalID: "tx", CurrentLeaderEpoch: -1,
	})
	second := n.send(p, -1, build(producer(1, 4, 1, true), "b"))
	third := n.send(p, -1, build(producer(1, 4, 2, true), "c"))
	q := <-v.asked
	if q.TransactionalID != "tx" || q.ProducerID != 1 || q.ProducerEpoch != 4 || !q.Add || q.Partition != p.id {
		t.Fatalf("asked %+v", q.VerifyRequest)
	}
	if p.TxnState(1, 4) != TxnVerifying {
		t.Fatal("the transaction is being verified")
	}
	n.send(p, -1, batch("others pass")).waitOK()
	for _, r := range []*reply{first, second, third} {
		r.silent()
	}
	q.done(nil)
	for i, r := range []*reply{first, second, third} {
		if res := r.waitOK(); int(res.BaseOffset) != i+1 {
			t.Fatalf("offset %d for batch %d", res.BaseOffset, i)
		}
	}
	if p.TxnState(1, 4) != TxnOpen {
		t.Fatal("the transaction is open")
	}
	n.send(p, -1, build(producer(1, 4, 3, true), "d")).waitOK()
	if len(v.asked) != 0 {
		t.Fatal("an open transaction needs no question")
	}
	n.marker(p, 1, 4, true)
	if p.TxnState(1, 4) != TxnUnknown {
		t.Fatal("the transaction has ended")
	}
	next := n.send(p, -1, build(producer(1, 4, 4, true), "e"))
	(<-v.asked).done(nil)
	next.waitOK()
}

func TestRefusedTransactionsAppendNothing(t *testing.T) {
	n, p, v := startVerifying(t)
	a, b := n.send(p, -1, build(producer(1, 0, 0, true), "a")), n.send(p, -1, build(producer(1, 0, 1, true), "b"))
	(<-v.asked).done(kafkaproto.ErrInvalidTxnState)
	a.waitErr(kafkaproto.ErrInvalidTxnState)
	b.waitErr(kafkaproto.ErrInvalidTxnState)
	if a.released.Load() != 1 || p.Status().End != 0 {
		t.Fatal("something is left of it")
	}
	again := n.send(p, -1, build(producer(1, 0, 0, true), "a"))
	(<-v.asked).done(nil)
	again.waitOK()
}

func TestBatchesDoNotLandBehindTheMarkerThatEndedTheirTransaction(t *testing.T) {
	n, p, v := startVerifying(t)
	late := n.send(p, -1, build(producer(1, 0, 0, true), "late"))
	q := <-v.asked
	n.marker(p, 1, 0, false)
	late.waitErr(kafkaproto.ErrInvalidTxnState)
	q.done(nil)
	if got := dropMarkers(t, p, fetch(0)); len(got) != 0 {
		t.Fatalf("%q landed behind the marker", got)
	}
}

func TestMarkersOfOlderEpochsLeaveNewerBatchesAlone(t *testing.T) {
	n, p, v := startVerifying(t)
	newer := n.send(p, -1, build(producer(1, 5, 0, true), "new"))
	q := <-v.asked
	n.marker(p, 1, 4, false)
	newer.silent()
	q.done(nil)
	newer.waitOK()
}

func TestNewerEpochTakesThePlaceOfAnOlderOne(t *testing.T) {
	n, p, v := startVerifying(t)
	older := n.send(p, -1, build(producer(1, 0, 0, true), "old"))
	q := <-v.asked
	newer := n.send(p, -1, build(producer(1, 1, 0, true), "new"))
	older.waitErr(kafkaproto.ErrInvalidProducerEpoch)
	q.done(nil) // comes too late
	n.send(p, -1, build(producer(1, 0, 1, true), "older yet")).waitErr(kafkaproto.ErrInvalidProducerEpoch)
	(<-v.asked).done(nil)
	newer.waitOK()
	if got := values(t, p.Read(fetch(0))); !slices.Equal(got, []string{"new"}) {
		t.Fatalf("read %q", got)
	}
}

func TestParkedBatchesAreBounded(t *testing.T) {
	n, p, v := startVerifying(t)
	var all []*reply
	for i := range mostParked {
		all = append(all, n.send(p, -1, build(producer(1, 0, int32(i), true), "x")))
	}
	n.send(p, -1, build(producer(1, 0, mostParked, true), "x")).waitErr(kafkaproto.ErrNotEnoughReplicas)
	(<-v.asked).done(nil)
	for _, r := range all {
		r.waitOK()
	}
}

func TestParkedBatchesEndWithTheirTopic(t *testing.T) {
	n, p, v := startVerifying(t)
	r := n.send(p, -1, build(producer(1, 0, 0, true), "x"))
	q := <-v.asked
	n.happen(&controller.TopicDeleted{ID: p.id.Topic})
	r.waitErr(kafkaproto.ErrUnknownTopicOrPartition)
	q.done(nil)
}
