package bench

import (
	"context"
	"strings"
	"testing"
	"time"
)

func sinkTarget(s *sink) Target { return Target{Bootstrap: []string{s.addr()}, Topic: s.topic} }

func TestProduceSendsExactlyTheRecordsAskedFor(t *testing.T) {
	s := newSink(t, "load", 3)
	r, err := Produce(t.Context(), ProduceOptions{
		Target: sinkTarget(s), RecordSize: 100, BatchRecords: 10, Connections: 2, InFlight: 7, Acks: -1, Records: 100_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != 100_000 || s.records.Load() != 100_000 {
		t.Errorf("result says %d records, the sink got %d, want 100000", r.Records, s.records.Load())
	}
	if r.Latency == nil || r.Latency.Count != 10_000 || r.Requests != 10_000 {
		t.Errorf("%d requests, latency %+v, want 10000 of each", r.Requests, r.Latency)
	}
	if r.Bytes != 10_000_000 || r.Partitions != 3 || r.Connections != 2 {
		t.Errorf("unexpected %+v", r)
	}
}

func BenchmarkProduceToSink(b *testing.B) {
	for _, batch := range []int{1000, 10} {
		b.Run(map[int]string{1000: "1000x100", 10: "10x100"}[batch], func(b *testing.B) {
			s := newSink(&testing.T{}, "load", 1)
			r, err := Produce(b.Context(), ProduceOptions{
				Target: sinkTarget(s), BatchRecords: batch, InFlight: 16, Acks: -1, Duration: 3 * time.Second, WarmUp: time.Second,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.RecordsSec, "records/s")
			b.ReportMetric(r.Driver.MicrosPerRecord, "cpu-us/record")
			b.ReportMetric(float64(r.Latency.P99), "p99-us")
		})
	}
}

func TestProduceWithoutAcknowledgementsCountsWhatWasWritten(t *testing.T) {
	s := newSink(t, "load", 1)
	r, err := Produce(t.Context(), ProduceOptions{Target: sinkTarget(s), BatchRecords: 100, Acks: 0, Bytes: 1_000_000})
	if err != nil || r.Records != 10_000 || r.Latency != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestProduceLeavesTheWarmUpOut(t *testing.T) {
	s := newSink(t, "load", 1)
	r, err := Produce(t.Context(), ProduceOptions{
		Target: sinkTarget(s), BatchRecords: 10, Acks: -1, WarmUp: 50 * time.Millisecond, Duration: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records == 0 || r.Records >= s.records.Load() {
		t.Errorf("counted %d of %d records", r.Records, s.records.Load())
	}
	if r.Latency == nil || r.Latency.Count >= s.requests.Load() {
		t.Errorf("latency %+v of %d requests", r.Latency, s.requests.Load())
	}
}

func TestProduceKeepsToItsRate(t *testing.T) {
	s := newSink(t, "load", 1)
	began := time.Now()
	r, err := Produce(t.Context(), ProduceOptions{
		Target: sinkTarget(s), BatchRecords: 1, Acks: -1, Rate: 1000, Duration: 400 * time.Millisecond, Connections: 2,
	})
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	// Never more than was due in the time it took, the first of each connection at once; how much less, and how much longer
	// than asked for, depends on how busy the machine is.
	if due := took.Milliseconds() + 1 + 2; r.Records > due || r.Records < 40 {
		t.Errorf("sent %d records in %v at 1000 a second", r.Records, took)
	}
}

func TestRefusedBatchesEndTheRun(t *testing.T) {
	s := newSink(t, "load", 1)
	s.refuse.Store(10)
	r, err := Produce(t.Context(), ProduceOptions{Target: sinkTarget(s), Acks: -1, Duration: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
		t.Errorf("got %v", err)
	}
	if r == nil || r.Errors == 0 || r.Records != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestALostBrokerEndsTheRun(t *testing.T) {
	s := newSink(t, "load", 1)
	s.limit.Store(20)
	_, err := Produce(t.Context(), ProduceOptions{Target: sinkTarget(s), Acks: -1, Duration: time.Minute})
	if err == nil {
		t.Error("no error")
	}
}

func TestAnInterruptKeepsWhatWasMeasured(t *testing.T) {
	s := newSink(t, "load", 1)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Produce(ctx, ProduceOptions{
		Target: sinkTarget(s), Acks: -1, Duration: time.Hour, Progress: func(Progress) { cancel() },
	})
	if err != nil || r.Records == 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	one := Target{Bootstrap: []string{"x"}}
	for want, o := range map[string]ProduceOptions{
		"acks 2":      {Target: one, Acks: 2},
		"compression": {Target: one, Compression: "brotli"},
		"too large":   {Target: one, BatchRecords: 1 << 20, RecordSize: 1 << 20},
		"connections": {Target: one, Connections: -1},
		"in flight":   {Target: one, InFlight: 1 << 20},
		"rate":        {Target: one, Rate: -1},
		"no bootstr":  {},
	} {
		if _, err := Produce(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
