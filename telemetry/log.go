package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

type engineMetrics struct {
	syncs       prometheus.Histogram
	sealed      prometheus.Counter
	unlinked    prometheus.Counter
	corruptions prometheus.Counter
	troubles    prometheus.Counter
}

func newEngineMetrics(r *prometheus.Registry) engineMetrics {
	return engineMetrics{
		syncs:       histogram(r, "streambus_log_sync_seconds", "Time of each fdatasync of the write-ahead log.", seconds),
		sealed:      counter(r, "streambus_log_sealed_files_total", "Files of the write-ahead log that were sealed."),
		unlinked:    counter(r, "streambus_log_unlinked_files_total", "Files that were unlinked because nothing in them is live."),
		corruptions: counter(r, "streambus_log_corruptions_total", "Damaged places found in files."),
		troubles:    counter(r, "streambus_log_troubles_total", "Things that failed and are tried again."),
	}
}

// LogEvents is what the storage engine tells.
func (m *Metrics) LogEvents() log.Events {
	e, l := &m.engine, m.log
	return log.Events{
		Synced:   func(took time.Duration) { e.syncs.Observe(took.Seconds()) },
		Sealed:   func(uint32, int64, int) { e.sealed.Inc() },
		Unlinked: func(uint32) { e.unlinked.Inc() },
		Full: func(full bool, free uint64) {
			if full {
				l.Error("disk is full: producers are refused until there is room", "free", free)
				return
			}
			l.Info("disk has room again", "free", free)
		},
		Recovered: func(r log.Recovery) {
			l.Info("log recovered", "clean", r.Clean, "logs", r.Logs, "files", r.Files, "frames", r.Frames, "bytes", r.Bytes,
				"took", r.Took)
		},
		Corruption: func(err *log.CorruptionError) {
			e.corruptions.Inc()
			l.Error("corruption found", "error", err)
		},
		IndexRebuilt: func(reason error) { l.Warn("index made anew from the files", "reason", reason) },
		Quarantined: func(id kafkaproto.TopicPartition) {
			l.Warn("log quarantined: the metadata does not know it", "topic", id.Topic.String(), "partition", int32(id.Partition),
				"kept", log.QuarantineTime)
		},
		Retained: func(id kafkaproto.TopicPartition, start kafkaproto.Offset) {
			l.Debug("retention moved the log start", "topic", id.Topic.String(), "partition", int32(id.Partition), "start", int64(start))
		},
		Trouble: func(what string, err error) {
			e.troubles.Inc()
			l.Warn("will be tried again", "what", what, "error", err)
		},
	}
}

// engineStats reads the engine's own counts at each scrape.
type engineStats struct{ read func() log.Stats }

// engineRows are the figures of engineStats.
var engineRows = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(log.Stats) float64
}{
	row("streambus_log_logs", "Logs in the data directory.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.Logs) }),
	row("streambus_log_open_files", "Files the engine holds open.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.OpenFiles) }),
	row("streambus_log_wal_files", "Files of the write-ahead log.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.WALFiles) }),
	row("streambus_log_spare_files", "Files of the write-ahead log that nobody needs and that are kept for new ones.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.Spares) }),
	row("streambus_log_recycled_files_total", "Files that were begun in such a one.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Recycled) }),
	row("streambus_log_unsealed_bytes", "Bytes that a start after a crash would have to read.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.UnsealedBytes) }),
	row("streambus_log_queued_bytes", "Bytes of appends that wait to be written.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.QueuedBytes) }),
	row("streambus_log_live_bytes", "Bytes of records that retention keeps.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.LiveBytes) }),
	row("streambus_log_memory_entries", "Index entries in memory.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.MemoryEntries) }),
	row("streambus_log_quarantined", "Logs in quarantine.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(len(s.Quarantined)) }),
	row("streambus_log_full", "1 while the disk is too full to take records.", prometheus.GaugeValue, func(s log.Stats) float64 { return bit(s.Full) }),
	row("streambus_log_appends_total", "Appends.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Appends) }),
	row("streambus_log_appended_bytes_total", "Bytes of record batches appended.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.AppendedBytes) }),
	row("streambus_log_frames_total", "Frames written.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Frames) }),
	row("streambus_log_written_bytes_total", "Bytes written to the write-ahead log, frame headers included.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.WrittenBytes) }),
	row("streambus_log_writes_total", "Vectored writes.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Writes) }),
	row("streambus_log_scrubbed_bytes_total", "Bytes of files that were read again from the disk and checked.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Scrubbed) }),
	row("streambus_log_sorted_files", "Files of level 1, in which each log's records lie side by side.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.SortedFiles) }),
	row("streambus_log_compaction_backlog_bytes", "Bytes of record batches that wait to be copied to level 1.", prometheus.GaugeValue, func(s log.Stats) float64 { return float64(s.CompactionBacklog) }),
	row("streambus_log_compacted_bytes_total", "Bytes of record batches that compaction has copied.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Compacted) }),
	row("streambus_log_cleaned_bytes_total", "Bytes of record batches that compaction by key has read.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Cleaned) }),
	row("streambus_log_cleaned_away_bytes_total", "Bytes of those that it has left out.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.CleanedAway) }),
	row("streambus_log_syncs_total", "Syncs.", prometheus.CounterValue, func(s log.Stats) float64 { return float64(s.Syncs) }),
}

func row(name, help string, kind prometheus.ValueType, of func(log.Stats) float64) (r struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(log.Stats) float64
}) {
	r.desc, r.kind, r.of = prometheus.NewDesc(name, help, nil, nil), kind, of
	return r
}

// Describe is prometheus.Collector's.
func (engineStats) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range engineRows {
		ch <- r.desc
	}
}

// Collect is prometheus.Collector's.
func (e engineStats) Collect(ch chan<- prometheus.Metric) {
	s := e.read()
	for _, r := range engineRows {
		ch <- prometheus.MustNewConstMetric(r.desc, r.kind, r.of(s))
	}
}
