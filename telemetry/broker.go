package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/kafkaproto"
)

// seconds are the buckets of everything that takes time: 50 us to 10 s.
var seconds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

type brokerMetrics struct {
	connections *prometheus.GaugeVec
	opened      *prometheus.CounterVec
	refused     *prometheus.CounterVec
	failed      *prometheus.CounterVec
	handling    *prometheus.HistogramVec
	bytesIn     prometheus.Counter
	bytesOut    prometheus.Counter
	produced    prometheus.Counter
	fetched     prometheus.Counter
	errors      *prometheus.CounterVec

	byKey *sync.Map // int16 -> prometheus.Observer: finding one by its label costs more than observing
}

func newBrokerMetrics(r *prometheus.Registry) brokerMetrics {
	m := brokerMetrics{
		byKey: new(sync.Map),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "streambus_connections", Help: "Connections of clients now."}, []string{"listener"}),
		handling: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "streambus_request_seconds", Help: "From a request's last byte to its answer being ready, waits of long polls included.",
			Buckets: seconds}, []string{"api"}),
		opened:   counters(r, "streambus_connections_opened_total", "Connections that clients opened.", "listener"),
		refused:  counters(r, "streambus_connections_refused_total", "Connections refused by a limit.", "listener", "limit"),
		failed:   counters(r, "streambus_connections_failed_total", "Connections closed for what came in on them.", "listener"),
		bytesIn:  counter(r, "streambus_request_bytes_total", "Bytes of requests."),
		bytesOut: counter(r, "streambus_response_bytes_total", "Bytes of answers."),
		produced: counter(r, "streambus_produced_bytes_total", "Bytes of record batches in Produce requests."),
		fetched:  counter(r, "streambus_fetched_bytes_total", "Bytes of record batches in Fetch answers."),
		errors:   counters(r, "streambus_partition_errors_total", "Errors of partitions inside Produce and Fetch answers.", "api", "error"),
	}
	r.MustRegister(m.connections, m.handling)
	return m
}

// BrokerEvents is what the broker tells.
func (m *Metrics) BrokerEvents() broker.Events {
	b := &m.broker
	return broker.Events{
		ConnectionOpened: func(listener string) {
			b.connections.WithLabelValues(listener).Inc()
			b.opened.WithLabelValues(listener).Inc()
		},
		ConnectionClosed:  func(listener string) { b.connections.WithLabelValues(listener).Dec() },
		ConnectionRefused: func(listener, reason string) { b.refused.WithLabelValues(listener, reason).Inc() },
		ConnectionFailed:  func(listener string, _ error) { b.failed.WithLabelValues(listener).Inc() },
		Request: func(e broker.RequestEvent) {
			b.observer(e.Key).Observe(e.Handling.Seconds())
			b.bytesIn.Add(float64(e.BytesIn))
			b.bytesOut.Add(float64(e.BytesOut))
		},
		PartitionError: func(key, code int16) {
			b.errors.WithLabelValues(kmsg.NameForKey(key), kafkaproto.ErrorForCode(code).Name).Inc()
		},
		Produced: func(n int) { b.produced.Add(float64(n)) },
		Fetched:  func(n int) { b.fetched.Add(float64(n)) },
	}
}

func (b *brokerMetrics) observer(key int16) prometheus.Observer {
	if o, ok := b.byKey.Load(key); ok {
		return o.(prometheus.Observer)
	}
	o := b.handling.WithLabelValues(kmsg.NameForKey(key))
	b.byKey.Store(key, o)
	return o
}
