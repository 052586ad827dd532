package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streambus/streambus/controller/quorum"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

type quorumMetrics struct {
	commits   prometheus.Histogram
	events    prometheus.Counter
	failures  prometheus.Counter
	snapshots prometheus.Counter
}

func newQuorumMetrics(r *prometheus.Registry) quorumMetrics {
	return quorumMetrics{
		commits:   histogram(r, "streambus_metadata_commit_seconds", "Time from proposing a batch of metadata events to its commit.", seconds),
		events:    counter(r, "streambus_metadata_events_total", "Metadata events committed by this controller."),
		failures:  counter(r, "streambus_metadata_failed_batches_total", "Batches of metadata events that were not committed."),
		snapshots: counter(r, "streambus_metadata_snapshots_total", "Snapshots of the metadata."),
	}
}

// QuorumEvents is what the metadata quorum tells.
func (m *Metrics) QuorumEvents() quorum.Events {
	q, l := &m.quorum, m.log
	return quorum.Events{
		LeaderChanged: func(id, epoch int32) { l.Info("active controller", "node", id, "epoch", epoch) },
		BatchCommitted: func(events, _ int, took time.Duration) {
			q.commits.Observe(took.Seconds())
			q.events.Add(float64(events))
		},
		BatchFailed: func(err error) {
			q.failures.Inc()
			l.Warn("metadata batch was not committed", "error", err)
		},
		SnapshotTaken: func(bytes int64, took time.Duration) {
			q.snapshots.Inc()
			l.Debug("metadata snapshot", "bytes", bytes, "took", took)
		},
		DiskFull: func(full bool) {
			if full {
				l.Error("disk is full: metadata can't change until there is room")
				return
			}
			l.Info("metadata can change again")
		},
	}
}

// PartitionEvents is what the partitions tell.
func (m *Metrics) PartitionEvents() partition.Events {
	l := m.log
	return partition.Events{
		Offline: func(ids []kafkaproto.TopicPartition, err error) {
			l.Error("partitions are offline", "count", len(ids), "first", ids[0].String(), "error", err)
		},
		Damaged: func(ids []kafkaproto.TopicPartition, err error) {
			l.Error("records of this broker's replicas are damaged: they leave the ISR and are fetched anew from others", "count", len(ids), "first", ids[0].String(), "error", err)
		},
		Moved: func(id kafkaproto.TopicPartition, to string) {
			l.Info("a replica has moved to another directory", "log", id.String(), "dir", to)
		},
		BadConfig: func(topic string, err error) {
			l.Error("topic's configs can't be read: the broker's defaults hold", "topic", topic, "error", err)
		},
	}
}
