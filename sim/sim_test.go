package sim

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	// A collection in the middle of a run would run goroutines in another order.
	debug.SetGCPercent(-1)
	os.Exit(m.Run())
}

func TestOne(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	n, _ := strconv.Atoi(os.Getenv("N"))
	for range max(n, 1) {
		began := time.Now()
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		r := Run(Options{Seed: seed})
		runtime.ReadMemStats(&m1)
		t.Logf("seed %d: %d steps, %d acked, %d read, %d faults, %v simulated, hash %x, took %v, %d MB, goroutines %d", r.Seed, r.Steps, r.Acked, r.Read, r.Faults, r.Length, r.Hash, time.Since(began), (m1.TotalAlloc-m0.TotalAlloc)>>20, runtime.NumGoroutine())
		if len(r.Findings) > 0 {
			if n <= 1 {
				t.Log("\n" + r.Plan + r.Log)
			}
			t.Errorf("seed %d: %v", r.Seed, r.Findings)
		}
		runtime.GC()
		seed++
	}
}
