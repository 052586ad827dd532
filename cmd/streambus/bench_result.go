package main

import (
	"fmt"
	"io"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/cli"
)

// benchResult prints a result of package bench for people; as JSON and YAML it is printed as it is.
type benchResult bench.Result

// WriteTable prints a name and a value a line.
func (r *benchResult) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w)
	t.Row("load", r.load())
	t.Row("records", fmt.Sprintf("%d in %.2f s", r.Records, r.Seconds))
	t.Row("throughput", fmt.Sprintf("%.0f records/s, %s/s", r.RecordsSec, cli.FormatBytes(int64(r.BytesSec))))
	if r.Requests > 0 {
		t.Row("requests", fmt.Sprintf("%.0f/s", r.RequestsSec))
	}
	if l := r.Latency; l != nil {
		t.Row("latency", fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s  (%s)",
			millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max), l.Of))
	}
	if p := r.Broker; p != nil {
		t.Row("broker", process(p)+fmt.Sprintf(", %s resident (%s anonymous, peak %s)",
			cli.FormatBytes(p.RSS), cli.FormatBytes(p.Anonymous), cli.FormatBytes(p.Peak)))
	}
	if p := r.Driver; p != nil {
		t.Row("driver", process(p))
	}
	if r.Errors > 0 {
		t.Row("errors", fmt.Sprintf("%d, the first: %s", r.Errors, r.FirstError))
	}
	return t.Flush()
}

func (r *benchResult) load() string {
	s := fmt.Sprintf("%s, topic %s, %d partitions, %d connections", r.Kind, r.Topic, r.Partitions, r.Connections)
	if r.BatchRecords > 0 {
		s += fmt.Sprintf(", batches of %d x %d B (%d B, %s), %d in flight", r.BatchRecords, r.RecordSize, r.BatchBytes, r.Compression, r.InFlight)
	}
	if r.Acks != nil {
		s += fmt.Sprintf(", acks %d", *r.Acks)
	}
	if r.Rate > 0 {
		s += fmt.Sprintf(", %.0f records/s asked for", r.Rate)
	}
	return s
}

func process(p *bench.Process) string {
	return fmt.Sprintf("%.3f us CPU a record, %.0f%% of a core", p.MicrosPerRecord, p.CPUPercent)
}

func millis(us int64) string { return fmt.Sprintf("%.2f ms", float64(us)/1000) }
