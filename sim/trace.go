package sim

import (
	"fmt"
	"strings"
	"time"
)

// trace is the event log: a hash over all that happened, so that two runs can be compared, and the lines that a reader of
// a failure wants to see.
type trace struct {
	hash  uint64
	lines []string
	most  int // lines that are kept; older ones go
	gone  int
	full  func(string) // takes every line at once, if somebody wants to compare two runs
}

const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

func (t *trace) add(s string) {
	for i := range len(s) {
		t.hash = (t.hash ^ uint64(s[i])) * fnvPrime
	}
}

func (t *trace) addInt(v uint64) {
	for range 8 {
		t.hash = (t.hash ^ v&0xff) * fnvPrime
		v >>= 8
	}
}

// step takes an event into the hash.
func (t *trace) step(now time.Duration, e *event) {
	t.addInt(uint64(now))
	t.add(e.what)
	id := int32(0)
	if e.owner != nil {
		id = e.owner.id
		t.addInt(uint64(id))
	}
	if t.full != nil {
		t.full(fmt.Sprintf("%14d n%d %s", int64(now), id, e.what))
	}
}

// line keeps a line: the time in seconds, who, and what.
func (t *trace) line(now time.Duration, who, what string) {
	t.add(who)
	t.add(what)
	text := fmt.Sprintf("%10.6f %-6s %s", now.Seconds(), who, what)
	if t.full != nil {
		t.full(text)
	}
	if t.lines = append(t.lines, text); len(t.lines) >= 2*t.most {
		cut := len(t.lines) - t.most
		t.gone += cut
		t.lines = append(t.lines[:0], t.lines[cut:]...)
	}
}

// text is the log as it is printed.
func (t *trace) text() string {
	lines := t.lines
	gone := t.gone
	if n := len(lines) - t.most; n > 0 {
		lines, gone = lines[n:], gone+n
	}
	var b strings.Builder
	if gone > 0 {
		fmt.Fprintf(&b, "(%d earlier lines are left out)\n", gone)
	}
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}
