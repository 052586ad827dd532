package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Progress tells a person how far long work has come: on a terminal a bar that is drawn over itself, else a plain line
// every few seconds. A nil Progress tells nothing, so callers need not ask whether one is wanted. Its methods may be
// called from any goroutine.
type Progress struct {
	w        io.Writer
	unit     string        // "records", "B"
	interval time.Duration // between two drawings
	terminal bool
	now      func() time.Time

	mu     sync.Mutex // guards what stands below
	total  int64      // 0: not known
	done   int64
	begun  time.Time
	drawn  time.Time
	length int // of the line on the terminal
}

// How often a bar and a plain line are written.
const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// NewProgress begins to tell w about total units; 0 if nobody knows how many there will be. A unit of "B" is printed as
// sizes are.
func NewProgress(w io.Writer, unit string, total int64) *Progress {
	p := &Progress{w: w, unit: unit, total: total, now: time.Now, terminal: IsTerminal(w), interval: lineInterval}
	if p.terminal {
		p.interval = barInterval
	}
	p.begun = p.now()
	p.drawn = p.begun
	return p
}

// IsTerminal says whether w is a person's screen.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a device too, but nobody looks at it
	return err != nil || !os.SameFile(info, null)
}

// Add notes that n more units are done.
func (p *Progress) Add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.done+n, p.total)
}

// Set notes how far the work is; a total of 0 leaves it as it was.
func (p *Progress) Set(done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(done, max(total, p.total))
}

func (p *Progress) set(done, total int64) {
	p.done, p.total = done, total
	now := p.now()
	if now.Sub(p.drawn) < p.interval {
		return
	}
	p.drawn = now
	p.draw(now)
}

// Done ends it: the bar goes away, so that the result stands alone.
func (p *Progress) Done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.length > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.length))
		p.length = 0
	}
}

func (p *Progress) draw(now time.Time) {
	line := p.line(now)
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	pad := max(0, p.length-len(line))
	p.length = len(line)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
}

// barWidth is that of the bar alone; with what stands behind it the line fits into 80 columns.
const barWidth = 20

// Bar draws how much of the whole, 1, is done.
func Bar(part float64) string {
	full := int(max(0, min(1, part)) * barWidth)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
}

func (p *Progress) line(now time.Time) string {
	took := now.Sub(p.begun)
	var b strings.Builder
	if p.total > 0 {
		part := min(1, float64(p.done)/float64(p.total))
		if p.terminal {
			b.WriteString(Bar(part) + " ")
		}
		fmt.Fprintf(&b, "%3.0f%% ", part*100)
	}
	b.WriteString(p.amount(p.done))
	if p.total > 0 {
		b.WriteString(" of " + p.amount(p.total))
	}
	if s := took.Seconds(); s > 0 {
		rate := float64(p.done) / s
		fmt.Fprintf(&b, ", %s/s", p.amount(int64(rate)))
		if p.total > p.done && rate > 0 {
			left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
			fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
		}
	}
	return b.String()
}

func (p *Progress) amount(n int64) string {
	if p.unit == "B" {
		return FormatBytes(n)
	}
	return fmt.Sprintf("%d %s", n, p.unit)
}

// Reader counts the bytes that are read through it.
func (p *Progress) Reader(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return &countingReader{r, p}
}

type countingReader struct {
	io.Reader
	p *Progress
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.p.Add(int64(n))
	return n, err
}
