package log

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// openDisk opens an engine on the real disk.
func openDisk(t testing.TB, policy FlushPolicy) *Engine {
	t.Helper()
	d, err := OpenDirectory(env.System(), filepath.Join(t.TempDir(), "data"), 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(Options{Directory: d, Env: env.System(), FlushPolicy: policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		_ = d.Close()
	})
	return e
}

func BenchmarkAppend(b *testing.B) {
	for _, policy := range []struct {
		name   string
		policy FlushPolicy
	}{{"never", FlushNever}, {"always", FlushAlways}} {
		for _, shape := range []struct{ records, partitions, writers int }{{1000, 6, 6}, {10, 100, 64}} {
			b.Run(fmt.Sprintf("%s/%dx100B/%d", policy.name, shape.records, shape.partitions), func(b *testing.B) {
				benchAppend(b, openDisk(b, policy.policy), shape.records, shape.partitions, shape.writers, policy.policy == FlushAlways)
			})
		}
	}
}

func benchAppend(b *testing.B, e *Engine, records, partitions, writers int, wait bool) {
	var ids []tp
	for i := range partitions {
		ids = append(ids, topic(1, int32(i)))
	}
	logs, err := e.CreateLogs(ids, LogConfig{})
	if err != nil {
		b.Fatal(err)
	}
	batch := spec{n: records, size: 100}.batch(b)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			benchWriter(b, logs, w, b.N/writers+1, batch, wait)
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)*float64(records)/b.Elapsed().Seconds(), "records/s")
	s := e.Stats()
	b.ReportMetric(float64(s.Appends)/float64(max(s.Writes, 1)), "appends/write")
	b.ReportMetric(float64(s.Appends)/float64(max(s.Syncs, 1)), "appends/sync")
}

func benchWriter(b *testing.B, logs []*Log, w, n int, batch kafkaproto.Batch, wait bool) {
	done := make(chan []byte, 8)
	for range cap(done) {
		done <- append([]byte(nil), batch...)
	}
	flushed := make(chan struct{}, 1)
	mine := logs[w%len(logs)]
	if wait {
		mine.SetListener(func() {
			select {
			case flushed <- struct{}{}:
			default:
			}
		})
	}
	for i := range n {
		buf := <-done
		l := mine
		if !wait {
			l = logs[(w+i*7)%len(logs)]
		}
		r, err := l.Append(Append{Data: buf, Done: func(error) { done <- buf }})
		if err != nil {
			b.Error(err)
			return
		}
		for wait && l.Ends().Flushed <= r.Last {
			<-flushed
		}
	}
}
