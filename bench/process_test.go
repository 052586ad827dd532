package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestCPUTimeIsFoundBehindAnyProcessName(t *testing.T) {
	for name, stat := range map[string]string{
		"plain":            "42 (java) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 30 0 5 0 0",
		"blanks, brackets": "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 30 0 5 0 0",
	} {
		u, err := parseStat([]byte(stat))
		if err != nil || u.cpu != 3*time.Second {
			t.Errorf("%s: got %v, %v, want 3s", name, u.cpu, err)
		}
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 1", "42 (java) S 1 42 42 0 -1 4194304 100 0 0 0 a b 0 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestMemoryIsReadFromStatus(t *testing.T) {
	p := &Process{}
	p.parseStatus([]byte("Name:\tx\nVmHWM:\t    300 kB\nVmRSS:\t     200 kB\nRssAnon:\t 100 kB\nThreads:\t5\n"))
	if p.RSS != 200<<10 || p.Anonymous != 100<<10 || p.Peak != 300<<10 {
		t.Errorf("got %+v", p)
	}
}

func TestTheDriverMeasuresItself(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	p, err := Memory(os.Getpid())
	if err != nil || p.RSS <= 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := startMeter([]int{1 << 30}); err == nil {
		t.Error("a process that is not there: no error")
	}
}
