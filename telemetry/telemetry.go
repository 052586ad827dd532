// Package telemetry turns the event structs of the layers below into metrics for Prometheus and lines of the log. It never
// influences what it watches: an event handler here counts, observes or writes one line, and returns. node makes one Metrics
// per process, hands its event structs to the parts and its Handler to the admin listener. This file has the registry and
// what is read at scrape time; broker.go, log.go, metadata.go and shard.go have the events of each layer.
package telemetry

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/streambus/streambus/log"
)

// Metrics is one process' registry and what feeds it.
type Metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger
	broker   brokerMetrics
	engine   engineMetrics
	quorum   quorumMetrics
	shards   shardMetrics
}

// New makes a registry with the process' own figures (CPU, memory, open files, goroutines) in it.
func New(logger *slog.Logger) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), log: logger}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.broker = newBrokerMetrics(m.registry)
	m.engine = newEngineMetrics(m.registry)
	m.quorum = newQuorumMetrics(m.registry)
	m.shards = newShardMetrics(m.registry)
	return m
}

// Handler answers GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelWarn)})
}

// Source is asked at each scrape.
type Source struct {
	Engine     func() log.Stats
	Partitions func() int
	Offline    func() int // data directories of which nothing is served
	Controller func() (id, epoch int32, ok bool)
	// Groups counts the groups by state; nil while that can't be told.
	Groups func() map[string]int
}

// Watch adds what is read at scrape time. Call it once, when the node is up.
func (m *Metrics) Watch(s Source) {
	gauge := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("streambus_partitions", "Partitions with a replica on this node.", func() float64 { return float64(s.Partitions()) })
	gauge("streambus_offline_directories", "Data directories of this node of which nothing is served: they have failed, or could not be opened.",
		func() float64 { return float64(s.Offline()) })
	gauge("streambus_active_controller", "1 if this cluster's controller is known, with its epoch in streambus_controller_epoch.",
		func() float64 { _, _, ok := s.Controller(); return bit(ok) })
	gauge("streambus_controller_epoch", "Epoch of the active controller.",
		func() float64 { _, epoch, _ := s.Controller(); return float64(epoch) })
	m.registry.MustRegister(engineStats{read: s.Engine}, groupStates{count: s.Groups})
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func counter(r *prometheus.Registry, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	r.MustRegister(c)
	return c
}

func counters(r *prometheus.Registry, name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

func histogram(r *prometheus.Registry, name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	r.MustRegister(h)
	return h
}
