package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// ticking is a Progress whose clock the test moves.
func ticking(w io.Writer, unit string, total int64, terminal bool) (*Progress, *time.Time) {
	now := time.Unix(1000, 0)
	p := NewProgress(w, unit, total)
	p.now, p.begun, p.drawn, p.terminal = func() time.Time { return now }, now, now, terminal
	if terminal {
		p.interval = barInterval
	}
	return p, &now
}

func TestABarIsDrawnOverItselfAndGoesAway(t *testing.T) {
	var out bytes.Buffer
	p, now := ticking(&out, "records", 200, true)
	p.Add(1)
	if out.Len() != 0 {
		t.Errorf("drawn at once: %q", out.String())
	}
	*now = now.Add(2 * time.Second)
	p.Add(49)
	want := "\r[#####---------------]  25% 50 records of 200 records, 25 records/s, 6s left"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	p.Done()
	if line := strings.Trim(out.String(), "\r"); strings.TrimSpace(line) != "" || len(line) != len(want)-1 {
		t.Errorf("left: %q", out.String())
	}
}

func TestWithoutATerminalThereIsALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	p, now := ticking(&out, "B", 0, false)
	for range 12 {
		*now = now.Add(time.Second)
		p.Add(1_000_000)
	}
	p.Done()
	if out.String() != "5.0 MB, 1.0 MB/s\n10.0 MB, 1.0 MB/s\n" {
		t.Errorf("%q", out.String())
	}
}

func TestNoProgressTellsNothing(t *testing.T) {
	var p *Progress
	p.Add(1)
	p.Set(1, 2)
	p.Done()
	if r := p.Reader(strings.NewReader("x")); r == nil {
		t.Error("no reader")
	}
}

func TestNobodyLooksAtANullDevice(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if IsTerminal(null) || IsTerminal(&bytes.Buffer{}) {
		t.Error("called a terminal")
	}
}

func TestWhatIsReadIsCounted(t *testing.T) {
	p, _ := ticking(io.Discard, "B", 5, false)
	if b, err := io.ReadAll(p.Reader(strings.NewReader("hello"))); err != nil || string(b) != "hello" || p.done != 5 {
		t.Errorf("%q, %d, %v", b, p.done, err)
	}
}
