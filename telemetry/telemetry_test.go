package telemetry

import (
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != 200 {
		t.Fatalf("scrape: %d, %v", rec.Code, err)
	}
	return string(body)
}

func TestEventsShowInAScrape(t *testing.T) {
	m := New(slog.New(slog.DiscardHandler))
	m.Watch(Source{
		Offline:    func() int { return 1 },
		Engine:     func() log.Stats { return log.Stats{Logs: 7, Syncs: 3, Full: true} },
		Partitions: func() int { return 5 },
		Controller: func() (int32, int32, bool) { return 1, 4, true },
		Groups:     func() map[string]int { return map[string]int{"Stable": 3} },
	})
	b := m.BrokerEvents()
	b.ConnectionOpened("PLAINTEXT")
	b.Request(broker.RequestEvent{Key: 0, BytesIn: 100, BytesOut: 20, Handling: time.Millisecond})
	b.PartitionError(0, kafkaproto.ErrKafkaStorageError.Num)
	b.PartitionError(1, 9999)
	m.LogEvents().Synced(time.Millisecond)
	m.QuorumEvents().BatchCommitted(3, 100, time.Millisecond)
	groups := m.ShardEvents()
	groups.Loaded(3, 100, time.Millisecond)
	groups.Failed(3, errors.New("no"))
	groups.Appended(3, 12, 5)
	got := scrape(t, m)
	for _, want := range []string{
		`streambus_connections{listener="PLAINTEXT"} 1`,
		`streambus_request_seconds_count{api="Produce"} 1`,
		`streambus_partition_errors_total{api="Produce",error="KAFKA_STORAGE_ERROR"} 1`,
		`streambus_log_logs 7`, `streambus_log_syncs_total 3`, `streambus_log_full 1`, `streambus_log_sync_seconds_count 1`,
		`streambus_partitions 5`, `streambus_active_controller 1`, `streambus_controller_epoch 4`,
		`streambus_metadata_events_total 3`, `go_goroutines `,
		`streambus_groups{state="Stable"} 3`, `streambus_groups{state="Empty"} 0`, `streambus_group_coordinator_load_seconds_count 1`,
		`streambus_group_coordinator_failures_total 1`, `streambus_group_coordinator_records_total 12`,
		`streambus_group_coordinator_writes_total 5`, `streambus_group_coordinator_batches_total 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}
