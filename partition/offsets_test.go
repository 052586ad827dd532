package partition

import (
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

// timed makes a batch of one record for each of these times, relative to the test's.
func timed(c kafkaproto.Codec, times ...int) []byte {
	b := kafkaproto.NewBuilder()
	b.Codec = c
	for _, at := range times {
		b.Append(kafkaproto.Record{Timestamp: testTime + kafkaproto.Timestamp(at), Key: []byte("k"), Value: []byte("v")})
	}
	out, err := b.Batch()
	if err != nil {
		panic(err)
	}
	return out
}

func TestListOffsetFindsTheVeryRecord(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, timed(kafkaproto.CodecGzip, 0, 10, 20)).waitOK()
	n.restart()
	p = n.partition(p.id.Topic, 0)
	n.send(p, -1, timed(kafkaproto.CodecZstd, 30, 90, 40)).waitOK()
	n.send(p, -1, timed(kafkaproto.CodecNone, 50)).waitOK()
	for _, c := range []struct {
		at   int64
		want ListResult
	}{
		{LatestTimestamp, ListResult{Offset: 7, Timestamp: -1, LeaderEpoch: 1}},
		{EarliestTimestamp, ListResult{Offset: 0, Timestamp: -1, LeaderEpoch: 0}},
		{EarliestLocalTimestamp, ListResult{Offset: 0, Timestamp: -1, LeaderEpoch: 0}},
		{LatestTieredTimestamp, noListResult},
		{EarliestPendingUploadTimestamp, noListResult},
		{MaxTimestamp, ListResult{Offset: 4, Timestamp: testTime + 90, LeaderEpoch: 1}},
		{0, ListResult{Offset: 0, Timestamp: testTime, LeaderEpoch: 0}},
		{int64(testTime) + 1, ListResult{Offset: 1, Timestamp: testTime + 10, LeaderEpoch: 0}},
		{int64(testTime) + 20, ListResult{Offset: 2, Timestamp: testTime + 20, LeaderEpoch: 0}},
		{int64(testTime) + 35, ListResult{Offset: 4, Timestamp: testTime + 90, LeaderEpoch: 1}},
		{int64(testTime) + 91, noListResult},
	} {
		got, err := p.ListOffset(ListRequest{Timestamp: c.at, CurrentLeaderEpoch: -1})
		if err != nil || got != c.want {
			t.Errorf("timestamp %d: %+v, %v, want %+v", c.at, got, err, c.want)
		}
	}
	for _, c := range []struct {
		epoch kafkaproto.LeaderEpoch
		want  *kafkaproto.Error
	}{{0, kafkaproto.ErrFencedLeaderEpoch}, {2, kafkaproto.ErrUnknownLeaderEpoch}} {
		_, err := p.ListOffset(ListRequest{Timestamp: LatestTimestamp, CurrentLeaderEpoch: c.epoch})
		wantErr(t, err, c.want)
	}
}

func TestListOffsetOfAnEmptyLog(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	for at, want := range map[int64]ListResult{
		LatestTimestamp:   {Offset: 0, Timestamp: -1, LeaderEpoch: 0},
		EarliestTimestamp: {Offset: 0, Timestamp: -1, LeaderEpoch: 0},
		MaxTimestamp:      noListResult,
		0:                 noListResult,
	} {
		if got, err := p.ListOffset(ListRequest{Timestamp: at, CurrentLeaderEpoch: -1}); err != nil || got != want {
			t.Errorf("timestamp %d: %+v, %v, want %+v", at, got, err, want)
		}
	}
}

func TestTimeQueriesHonourIsolation(t *testing.T) {
	n := startNode(t, "always")
	n.withVerifier(yes{})
	p := n.one("t")
	n.send(p, -1, timed(kafkaproto.CodecNone, 0)).waitOK()
	n.send(p, -1, build(producer(1, 0, 0, true), "open")).waitOK()
	n.send(p, -1, timed(kafkaproto.CodecNone, 100)).waitOK()
	for _, c := range []struct {
		at        int64
		committed bool
		want      kafkaproto.Offset
	}{
		{int64(testTime) + 50, false, 2}, {int64(testTime) + 50, true, -1},
		{MaxTimestamp, false, 2}, {MaxTimestamp, true, 0},
		{LatestTimestamp, false, 3}, {LatestTimestamp, true, 1},
	} {
		got, err := p.ListOffset(ListRequest{Timestamp: c.at, ReadCommitted: c.committed, CurrentLeaderEpoch: -1})
		if err != nil || got.Offset != c.want {
			t.Errorf("timestamp %d, committed %v: %+v, %v, want offset %d", c.at, c.committed, got, err, c.want)
		}
	}
}

func TestLatestIsNotAvailableBeforeTheEpochsStartIsReached(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	r := n.send(p, 1, batch("a"))
	untilWritten(t, p, 1)
	n.bump()
	part, _ := n.img.Partition(p.id)
	p.lead(decidedOf(part))
	for _, at := range []int64{LatestTimestamp, MaxTimestamp, int64(testTime) + 50} {
		_, err := p.ListOffset(ListRequest{Timestamp: at, CurrentLeaderEpoch: -1})
		wantErr(t, err, kafkaproto.ErrOffsetNotAvailable)
	}
	if got, err := p.ListOffset(ListRequest{Timestamp: EarliestTimestamp, CurrentLeaderEpoch: -1}); err != nil || got.Offset != 0 {
		t.Fatalf("earliest: %+v, %v", got, err)
	}
	if got := values(t, p.Read(fetch(1))); len(got) != 0 {
		t.Fatalf("read %q", got)
	}
	release()
	r.waitOK()
	sees(t, p, 1, "a")
}

func TestEpochsEndWhereTheNextOneBegins(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	n.restart()
	p = n.partition(p.id.Topic, 0)
	n.send(p, -1, batch("b", "c")).waitOK()
	for asked, want := range map[kafkaproto.LeaderEpoch][2]int64{0: {0, 1}, 1: {1, 3}, 2: {-1, -1}, -1: {-1, -1}} {
		got, err := p.EpochEnd(-1, asked)
		if err != nil || int64(got.Epoch) != want[0] || int64(got.End) != want[1] {
			t.Errorf("epoch %d: %+v, %v, want %v", asked, got, err, want)
		}
	}
	_, err := p.EpochEnd(0, 0)
	wantErr(t, err, kafkaproto.ErrFencedLeaderEpoch)
}

func TestDeleteRecords(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	for range 3 {
		n.send(p, -1, batch("a")).waitOK()
	}
	fired := make(chan struct{}, 8)
	w := NewWaiter(func() { signal(fired) })
	p.Wait(w)
	if low, err := p.DeleteRecords(2); err != nil || low != 2 {
		t.Fatalf("low watermark %d, %v", low, err)
	}
	<-fired
	p.Unwait(w)
	if low, err := p.DeleteRecords(1); err != nil || low != 2 {
		t.Fatalf("low watermark %d, %v", low, err)
	}
	for _, bad := range []kafkaproto.Offset{4, -2} {
		_, err := p.DeleteRecords(bad)
		wantErr(t, err, kafkaproto.ErrOffsetOutOfRange)
	}
	if low, err := p.DeleteRecords(-1); err != nil || low != 3 {
		t.Fatalf("low watermark %d, %v", low, err)
	}
	_, err := n.one("compacted", "cleanup.policy", "compact").DeleteRecords(0)
	wantErr(t, err, kafkaproto.ErrPolicyViolation)
}
