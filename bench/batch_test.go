package bench

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBatchesAreWhatKafkaReads(t *testing.T) {
	b, err := encodeBatch(3, 10, "none", time.UnixMilli(1234))
	if err != nil {
		t.Fatal(err)
	}
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	if batch.NumRecords != 3 || batch.LastOffsetDelta != 2 || batch.Magic != 2 || batch.ProducerID != -1 || batch.FirstTimestamp != 1234 {
		t.Errorf("got %+v", batch)
	}
	var r kmsg.Record
	if err := r.ReadFrom(batch.Records); err != nil || len(r.Value) != 10 || r.Key != nil {
		t.Errorf("first record %+v, %v", r, err)
	}
	if n, next := countRecords(append(b, b[:40]...)); n != 3 || next != 3 {
		t.Errorf("counted %d up to %d, want 3 up to 3", n, next)
	}
}

func FuzzCountRecordsNeverPanics(f *testing.F) {
	b, _ := encodeBatch(3, 10, "none", time.UnixMilli(1234))
	f.Add(b)
	f.Add(b[:70])
	f.Fuzz(func(t *testing.T, b []byte) { countRecords(b) })
}
