package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streambus/streambus/shard"
)

type shardMetrics struct {
	loads    prometheus.Histogram
	failures prometheus.Counter
	records  prometheus.Counter
	steps    prometheus.Counter
	batches  prometheus.Counter
}

func newShardMetrics(r *prometheus.Registry) shardMetrics {
	return shardMetrics{
		loads:    histogram(r, "streambus_group_coordinator_load_seconds", "Time to load a partition of __consumer_offsets.", seconds),
		failures: counter(r, "streambus_group_coordinator_failures_total", "Partitions of __consumer_offsets whose coordinator failed and was loaded anew."),
		records:  counter(r, "streambus_group_coordinator_records_total", "Records written to __consumer_offsets."),
		steps:    counter(r, "streambus_group_coordinator_writes_total", "Requests and timers that led to records."),
		batches:  counter(r, "streambus_group_coordinator_batches_total", "Appends to __consumer_offsets; each holds what waited together."),
	}
}

// ShardEvents is what the coordinators of groups tell.
func (m *Metrics) ShardEvents() shard.Events {
	s := &m.shards
	return shard.Events{
		Loaded: func(_ int32, _ int, took time.Duration) { s.loads.Observe(took.Seconds()) },
		Failed: func(int32, error) { s.failures.Inc() },
		Appended: func(_ int32, records, steps int) {
			s.batches.Inc()
			s.records.Add(float64(records))
			s.steps.Add(float64(steps))
		},
	}
}

// groupStates counts groups by state at each scrape.
type groupStates struct{ count func() map[string]int }

var (
	groupsDesc = prometheus.NewDesc("streambus_groups", "Groups that this broker coordinates, by state.", []string{"state"}, nil)
	// groupStateNames are shown also where no group is in them.
	groupStateNames = []string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}
)

// Describe is prometheus.Collector's.
func (groupStates) Describe(ch chan<- *prometheus.Desc) { ch <- groupsDesc }

// Collect is prometheus.Collector's. While coordinators are being loaded nothing is shown.
func (g groupStates) Collect(ch chan<- prometheus.Metric) {
	counts := g.count()
	if counts == nil {
		return
	}
	for _, state := range groupStateNames {
		ch <- prometheus.MustNewConstMetric(groupsDesc, prometheus.GaugeValue, float64(counts[state]), state)
	}
}
