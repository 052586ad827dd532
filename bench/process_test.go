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

func TestBytesWrittenAreReadFromIO(t *testing.T) {
	text := "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"
	if n, err := parseIO([]byte(text)); err != nil || n != 4096 {
		t.Errorf("got %d, %v, want 4096", n, err)
	}
	if _, err := parseIO([]byte("rchar: 1\n")); err == nil {
		t.Error("no such line: no error")
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
	if n, err := OpenFiles(os.Getpid()); err != nil || n < 3 {
		t.Errorf("%d open files, %v", n, err)
	}
	if _, err := Written(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := startMeter([]int{1 << 30}); err == nil {
		t.Error("a process that is not there: no error")
	}
}
