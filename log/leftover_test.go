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
		l.unsealed, l.sealed, l.cutIn = unsealed{entries: c.entries, leftover: true}, 0, 20
		if got := l.unsealed.upTo(20); !slices.Equal(got, c.captured) {
			t.Errorf("of %v: %v", c.entries, got)
		}
		l.mu.Unlock()
		l.forget(19)
		if !slices.Equal(l.unsealed.entries, c.entries) || l.sealed != 0 {
			t.Errorf("%v forgotten before the cut is sealed: %v from %d on", c.entries, l.unsealed.entries, l.sealed)
		}
		l.forget(20)
		l.mu.Lock()
		if !slices.Equal(l.unsealed.entries, c.kept) || l.sealed != c.sealed || l.unsealed.leftover {
			t.Errorf("%v when the cut is sealed: %v from %d on", c.entries, l.unsealed.entries, l.sealed)
		}
	}
	l.unsealed = unsealed{}
}

// TestACutKnowsWhatIsLeftOfTheIndex: what is left stays what it is when it is cut once more, and goes with a cut below it.
func TestACutKnowsWhatIsLeftOfTheIndex(t *testing.T) {
	part := func(last offset) *entry { return &entry{base: 10, last: last, file: 21} }
	var u unsealed
	u.add(entry{base: 30, last: 39, file: 20})
	for _, step := range []struct {
		to       offset
		left     *entry
		sealed   offset
		entries  []entry
		leftover bool
	}{
		{to: 20, left: part(19), sealed: 30, entries: []entry{*part(19)}, leftover: true},
		{to: 15, left: part(14), sealed: 10, entries: []entry{*part(14)}, leftover: true},
		{to: 15, sealed: 10, entries: []entry{*part(14)}, leftover: true},
		{to: 10, sealed: 10},
		{to: 5, left: &entry{base: 0, last: 4, file: 20}, sealed: 0, entries: []entry{{base: 0, last: 4, file: 20}}},
	} {
		u.cut(step.to, step.left, step.sealed)
		if !slices.Equal(u.entries, step.entries) || u.leftover != step.leftover {
			t.Errorf("cut at %d: %v, leftover %v", step.to, u.entries, u.leftover)
		}
	}
}
