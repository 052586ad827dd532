package log

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestTenThousandLogsCostNeitherFilesNorGoroutines(t *testing.T) {
	e := openDisk(t, FlushNever)
	before := runtime.NumGoroutine()
	var ids []tp
	for i := range 10000 {
		ids = append(ids, topic(1+i/100, int32(i%100)))
	}
	began := time.Now()
	logs, err := e.CreateLogs(ids, LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	created := time.Since(began)
	for _, l := range logs {
		mustAppend(t, l, spec{n: 10, size: 100, pid: 3})
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	s := e.Stats()
	if s.OpenFiles >= 100 || runtime.NumGoroutine() > before+5 {
		t.Fatalf("%d open files, %d goroutines more", s.OpenFiles, runtime.NumGoroutine()-before)
	}
	t.Logf("created in %v, %d files open", created, s.OpenFiles)
}

func TestTheIndexIsBelowATenthOfTheWAL(t *testing.T) {
	e := openDisk(t, FlushNever)
	logs, err := e.CreateLogs([]tp{topic(1, 0), topic(1, 1), topic(2, 0), topic(3, 0)}, LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20000 {
		mustAppend(t, logs[i%len(logs)], spec{n: 10, size: 100, time: int64(i)})
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, dir := range []string{walDir, indexDir} {
		entries, err := os.ReadDir(filepath.Join(e.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil {
				sizes[dir] += info.Size()
			}
		}
	}
	t.Logf("wal %d, index %d bytes", sizes[walDir], sizes[indexDir])
	if sizes[indexDir]*10 > sizes[walDir] {
		t.Fatalf("index %d bytes, WAL %d", sizes[indexDir], sizes[walDir])
	}
}
