package log

import "sort"

// unsealed are the entries of a log that the index does not have yet, in the order of their offsets and without a gap: what is behind
// Log.sealed. Readers keep the slice and look at it without the lock, so what is in it never changes. The log's lock guards the rest.
type unsealed struct {
	entries []entry // their files' numbers rise, but for that of a leftover
	// The first is what a cut left of an entry of the index, whose file may be newer than the next one's: sorted files are, where
	// the index was made anew. It goes with the file that has the cut.
	leftover bool
}

// add appends what was written.
func (u *unsealed) add(x entry) { u.entries = append(u.entries, x) }

// upTo are the entries of a file and of older ones, and the leftover: what the index knows when that file is sealed.
func (u *unsealed) upTo(file uint32) []entry {
	first := 0
	if u.leftover {
		first = 1
	}
	rest := u.entries[first:]
	n := first + sort.Search(len(rest), func(i int) bool { return rest[i].file > file })
	return u.entries[:n:n]
}

// cut forgets the entries that hold to or something above it, but for what is left of the first; nil: nothing. If that begins
// below sealed it is left of an entry of the index, and so alone. What is added does not go where the others are, because somebody may
// be reading them.
func (u *unsealed) cut(to offset, left *entry, sealed offset) {
	n := search(u.entries, to)
	u.entries = u.entries[:n:n]
	if left != nil {
		u.entries = append(u.entries, *left)
		u.leftover = u.leftover || left.base < sealed
	}
	u.leftover = u.leftover && len(u.entries) > 0
}

// dropFirst forgets the first n entries, and lets go of their memory.
func (u *unsealed) dropFirst(n int) {
	if n == 0 {
		return
	}
	u.leftover = false
	u.entries = append([]entry(nil), u.entries[n:]...)
}

// dropBelow forgets the entries that end below start.
func (u *unsealed) dropBelow(start offset) {
	n := search(u.entries, start)
	u.entries, u.leftover = u.entries[n:], u.leftover && n == 0
}

// search finds the first entry that holds o or something above it.
func search(entries []entry, o offset) int {
	return sort.Search(len(entries), func(i int) bool { return entries[i].last >= o })
}

// payloadBytes adds up what entries point to.
func payloadBytes(entries []entry) (n int64) {
	for i := range entries {
		n += int64(entries[i].length)
	}
	return n
}
