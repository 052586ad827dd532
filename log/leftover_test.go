package log

import (
	"slices"
	"testing"
)

// TestWhatACutLeftOfASortedEntryIsForgottenWithTheCut: where the index is made anew, a sorted file comes before WAL files with lower
// numbers, and so may what a cut in one of those leaves of it.
func TestWhatACutLeftOfASortedEntryIsForgottenWithTheCut(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	l.mu.Lock()
	defer l.mu.Unlock()
	left := entry{base: 0, last: 3, file: 21}
	next := entry{base: 4, last: 5, file: 20}
	later := entry{base: 6, last: 7, file: 22}
	for _, c := range []struct {
		entries, captured, kept []entry
		sealed                  offset
	}{
		{[]entry{left}, []entry{left}, nil, 4},
		{[]entry{left, next}, []entry{left, next}, nil, 6},
		{[]entry{left, next, later}, []entry{left, next}, []entry{later}, 6},
		{[]entry{left, later}, []entry{left}, []entry{later}, 4},
	} {
		l.entries, l.leftover, l.sealed, l.cutIn = c.entries, true, 0, 20
		if got := l.inFile(20); !slices.Equal(got, c.captured) {
			t.Errorf("of %v: %v", c.entries, got)
		}
		l.mu.Unlock()
		l.forget(19)
		if !slices.Equal(l.entries, c.entries) || l.sealed != 0 {
			t.Errorf("%v forgotten before the cut is sealed: %v from %d on", c.entries, l.entries, l.sealed)
		}
		l.forget(20)
		l.mu.Lock()
		if !slices.Equal(l.entries, c.kept) || l.sealed != c.sealed || l.leftover {
			t.Errorf("%v when the cut is sealed: %v from %d on", c.entries, l.entries, l.sealed)
		}
	}
	l.entries = nil
}
