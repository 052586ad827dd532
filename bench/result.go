package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run found. Rates and CPU are of the measured part alone.
type Result struct {
	Kind         string   `json:"kind"` // produce, consume, e2e
	Topic        string   `json:"topic"`
	Partitions   int      `json:"partitions"`
	Connections  int      `json:"connections"`
	RecordSize   int      `json:"recordSize,omitempty"`   // bytes of a value
	BatchRecords int      `json:"batchRecords,omitempty"` // produce
	BatchBytes   int      `json:"batchBytes,omitempty"`   // produce: one batch on the wire
	InFlight     int      `json:"inFlight,omitempty"`
	Acks         *int16   `json:"acks,omitempty"`
	Compression  string   `json:"compression,omitempty"`
	Rate         float64  `json:"rate,omitempty"` // asked for
	Seconds      float64  `json:"seconds"`
	Records      int64    `json:"records"`
	Bytes        int64    `json:"bytes"`    // produce, e2e: of values; consume: of batches
	Requests     int64    `json:"requests"` // answered
	Errors       int64    `json:"errors"`
	FirstError   string   `json:"firstError,omitempty"`
	RecordsSec   float64  `json:"recordsPerSecond"`
	BytesSec     float64  `json:"bytesPerSecond"`
	RequestsSec  float64  `json:"requestsPerSecond"`
	Latency      *Latency `json:"latency,omitempty"`
	Broker       *Process `json:"broker,omitempty"` // with a PID
	Driver       *Process `json:"driver,omitempty"` // this process
}

// Latency is a distribution in microseconds. What it spans is said by Of.
type Latency struct {
	Of    string `json:"of"`
	Count int64  `json:"count"`
	Mean  int64  `json:"meanMicros"`
	P50   int64  `json:"p50Micros"`
	P90   int64  `json:"p90Micros"`
	P99   int64  `json:"p99Micros"`
	P999  int64  `json:"p999Micros"`
	Max   int64  `json:"maxMicros"`
}

// Process is what one process used during the measured part. Memory is as it was at its end.
type Process struct {
	PIDs            []int   `json:"pids"` // of all of them together
	CPUSeconds      float64 `json:"cpuSeconds"`
	CPUPercent      float64 `json:"cpuPercent"` // 100 is one core
	MicrosPerRecord float64 `json:"cpuMicrosPerRecord"`
	RSS             int64   `json:"rssBytes"`     // VmRSS
	Anonymous       int64   `json:"rssAnonBytes"` // RssAnon: without mapped files and the page cache
	Peak            int64   `json:"peakRssBytes"` // VmHWM, since the process began
}

// newHistogram holds 1 us to 100 s with three digits (about 150 kB), or with two (20 kB) if there are to be many.
func newHistogram(of int) *hdrhistogram.Histogram {
	digits := 3
	if of > 64 {
		digits = 2
	}
	return hdrhistogram.New(1, 100_000_000, digits)
}

// record notes d; what is longer than the histogram's end counts as its end rather than being lost.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	us := min(max(d.Microseconds(), 1), h.HighestTrackableValue())
	_ = h.RecordValue(us) // in range by the line above
}

func latency(of string, h *hdrhistogram.Histogram) *Latency {
	if h.TotalCount() == 0 {
		return nil
	}
	return &Latency{
		Of: of, Count: h.TotalCount(), Mean: int64(h.Mean()),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
}

// rates fills in what follows from the counts.
func (r *Result) rates(took time.Duration) {
	r.Seconds = took.Seconds()
	if r.Seconds <= 0 {
		return
	}
	r.RecordsSec = float64(r.Records) / r.Seconds
	r.BytesSec = float64(r.Bytes) / r.Seconds
	r.RequestsSec = float64(r.Requests) / r.Seconds
}
