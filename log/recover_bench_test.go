package log

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/streambus/streambus/internal/env"
)

// BenchmarkRecovery opens a directory of 10,000 logs as kill -9 leaves it, with as much in files that are not sealed as there may be
// under FlushAlways, in frames of 10 records.
func BenchmarkRecovery(b *testing.B) {
	const logs, bytes = 10_000, 250 << 20
	e := openDisk(b, FlushAlways)
	var ids []tp
	for i := range logs {
		ids = append(ids, topic(1, int32(i)))
	}
	all, err := e.CreateLogs(ids, LogConfig{})
	if err != nil {
		b.Fatal(err)
	}
	batch := spec{n: 10, size: 100}.batch(b)
	hold := make(chan struct{})
	sealing := make(chan struct{})
	go func() { _ = e.seal.do(func() error { close(sealing); <-hold; return nil }) }()
	<-sealing
	defer close(hold)
	var written sync.WaitGroup
	for n := 0; n < bytes/len(batch)*9/10; n++ {
		written.Add(1)
		_, err := all[n%logs].Append(Append{Data: append([]byte(nil), batch...), Done: func(error) { written.Done() }})
		if err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 {
			written.Wait()
		}
	}
	written.Wait()
	flush(b, e)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		dir := filepath.Join(b.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(e.dir)); err != nil {
			b.Fatal(err)
		}
		if err := exec.Command("sync", "-f", dir).Run(); err != nil { // a crash finds what was flushed on the disk
			b.Skip(err)
		}
		d, err := OpenDirectory(env.System(), dir, 1)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		again, err := Open(Options{Directory: d, Env: env.System(), FlushPolicy: FlushAlways})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		r := again.Recovery()
		b.ReportMetric(float64(r.Frames), "frames")
		b.ReportMetric(float64(r.Bytes)/1e6, "MB")
		b.SetBytes(r.Bytes)
		closeEngine(b, again)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
