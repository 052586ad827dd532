package kafkaproto

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// copied are the records of b, in memory of their own.
func copied(t testing.TB, b Batch) []Record {
	t.Helper()
	if _, rest, err := NextBatch(b); err != nil || len(rest) != 0 {
		t.Fatalf("NextBatch leaves %d bytes, %v", len(rest), err)
	}
	if err := b.CheckCRC(); err != nil {
		t.Fatal(err)
	}
	var out []Record
	err := Records(b, func(r Record) error {
		r.Key, r.Value, r.Size = bytes.Clone(r.Key), bytes.Clone(r.Value), 0
		var headers []Header
		for _, h := range r.Headers {
			headers = append(headers, Header{h.Key, bytes.Clone(h.Value)})
		}
		r.Headers = headers
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// producedBatch is a batch of a transaction with every field of the header set.
func producedBatch(t testing.TB, codec Codec, kind TimestampType, rs []Record) Batch {
	t.Helper()
	bb := NewBuilder()
	bb.BaseOffset, bb.LeaderEpoch, bb.Codec, bb.TimestampType = 1000, 7, codec, kind
	bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence, bb.Transactional = 44, 3, 1<<31-5, true
	for _, r := range rs {
		bb.Append(r)
	}
	b, err := bb.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFilteredBatchHoldsTheRecordsThatAreKeptAsTheyWere(t *testing.T) {
	keeps := map[string]func(i int) bool{
		"first":  func(i int) bool { return i == 0 },
		"last":   func(i int) bool { return i == 11 },
		"middle": func(i int) bool { return i > 3 && i < 9 && i != 7 },
		"all":    func(int) bool { return true },
	}
	for _, codec := range allCodecs {
		for _, kind := range []TimestampType{CreateTime, LogAppendTime} {
			for name, keep := range keeps {
				for _, horizon := range []Timestamp{NoTimestamp, 0, 1800000000000} {
					t.Run(fmt.Sprintf("%v/%d/%s/%d", codec, kind, name, horizon), func(t *testing.T) {
						checkFiltered(t, producedBatch(t, codec, kind, testRecords(12, 500)), keep, horizon)
					})
				}
			}
		}
	}
}

func checkFiltered(t *testing.T, b Batch, keep func(int) bool, horizon Timestamp) {
	var want []Record
	var kept []bool
	latest := NoTimestamp
	for i, r := range copied(t, b) {
		kept = append(kept, keep(i))
		if keep(i) {
			want, latest = append(want, r), max(latest, r.Timestamp)
		}
	}
	before := bytes.Clone(b)
	out, err := b.AppendFiltered([]byte("before"), kept, horizon)
	if err != nil || !bytes.HasPrefix(out, []byte("before")) || !bytes.Equal(b, before) {
		t.Fatal(err)
	}
	got := Batch(out[len("before"):])
	if records := copied(t, got); !reflect.DeepEqual(records, want) {
		t.Errorf("records:\n%v\nwant:\n%v", records, want)
	}
	base := want[0].Timestamp
	if horizon != NoTimestamp {
		base = horizon
	}
	at, ok := got.DeleteHorizon()
	if ok != (horizon != NoTimestamp) || at != horizon || got.BaseTimestamp() != base || got.MaxTimestamp() != latest {
		t.Errorf("horizon %d %v, base %d, max %d", at, ok, got.BaseTimestamp(), got.MaxTimestamp())
	}
	sameHeader(t, got, b)
	// A horizon stays when more records go.
	kept = make([]bool, len(want))
	kept[len(want)-1] = true
	again, err := got.AppendFiltered(nil, kept, NoTimestamp)
	if err != nil {
		t.Fatal(err)
	}
	if records := copied(t, again); !reflect.DeepEqual(records, want[len(want)-1:]) {
		t.Errorf("again: %v", records)
	}
	if at, _ := Batch(again).DeleteHorizon(); at != horizon {
		t.Errorf("horizon %d became %d", horizon, at)
	}
	empty := Batch(got.AppendEmptied(nil))
	if len(copied(t, empty)) != 0 || empty.MaxTimestamp() != latest || empty.HasDeleteHorizon() || empty.Codec() != CodecNone {
		t.Errorf("emptied: %x", empty)
	}
	sameHeader(t, empty, b)
}

// sameHeader checks what no filter changes.
func sameHeader(t *testing.T, got, want Batch) {
	t.Helper()
	if got.BaseOffset() != want.BaseOffset() || got.LastOffset() != want.LastOffset() || got.PartitionLeaderEpoch() != want.PartitionLeaderEpoch() ||
		got.ProducerID() != want.ProducerID() || got.ProducerEpoch() != want.ProducerEpoch() || got.BaseSequence() != want.BaseSequence() ||
		got.LastSequence() != want.LastSequence() || got.IsTransactional() != want.IsTransactional() || got.IsControl() != want.IsControl() ||
		got.TimestampType() != want.TimestampType() {
		t.Errorf("header %x, was %x", got[:BatchHeaderLen], want[:BatchHeaderLen])
	}
}

func TestAFilterNeedsARecordToKeep(t *testing.T) {
	b := build(t, CodecNone, testRecords(3, 10)...)
	if out, err := b.AppendFiltered(nil, []bool{false, false}, NoTimestamp); Code(err) != ErrInvalidRecord.Num || len(out) != 0 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestRecordsWithoutHeadersAreTheSameRecords(t *testing.T) {
	b := build(t, CodecZstd, testRecords(9, 100)...)
	want := copied(t, b)
	i := 0
	err := RecordsWithoutHeaders(b, func(r Record) error {
		w := want[i]
		if r.Offset != w.Offset || r.Timestamp != w.Timestamp || !bytes.Equal(r.Key, w.Key) || (r.Value == nil) != (w.Value == nil) || r.Headers != nil {
			t.Errorf("%v, want %v", r, w)
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("%d records, %v", i, err)
	}
}

func TestAnEmptiedMarkerSaysNothing(t *testing.T) {
	b := Batch(ControlBatch(ControlAbort, 1, 2, 3, 4).AppendEmptied(nil))
	if kind, _, err := b.ControlType(); kind != ControlUnknown || err != nil || !b.IsControl() || b.ProducerEpoch() != 2 {
		t.Errorf("%v %v", kind, err)
	}
}
