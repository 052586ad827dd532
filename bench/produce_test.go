package bench

import (
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
