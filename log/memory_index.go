package log

import "sort"

// search finds the first entry that holds o or something above it.
func search(entries []entry, o offset) int {
	return sort.Search(len(entries), func(i int) bool { return entries[i].last >= o })
}

// cut returns the entries that end below to. The result does not share room to grow with entries, whose tail others may
// be reading.
func cut(entries []entry, to offset) []entry {
	n := search(entries, to)
	return entries[:n:n]
}

// inFile are the entries of one file, those of older files that a truncation cut while it was active, and what a cut left of an
// entry of the index (Log.leftover). The lock is held.
func (l *Log) inFile(id uint32) []entry {
	first := 0
	if l.leftover {
		first = 1
	}
	rest := l.entries[first:]
	n := first + sort.Search(len(rest), func(i int) bool { return rest[i].file > id })
	return l.entries[:n:n]
}

// dropFirst forgets the first n entries, and lets go of their memory. The lock is held.
func (l *Log) dropFirst(n int) {
	if n == 0 {
		return
	}
	l.leftover = false
	if n == len(l.entries) {
		l.entries = nil
		return
	}
	l.entries = append([]entry(nil), l.entries[n:]...)
}

// dropBelow forgets the entries that end below start. The lock is held.
func (l *Log) dropBelow(start offset) {
	n := search(l.entries, start)
	l.entries, l.leftover = l.entries[n:], l.leftover && n == 0
}

// payloadBytes adds up what entries point to.
func payloadBytes(entries []entry) (n int64) {
	for i := range entries {
		n += int64(entries[i].length)
	}
	return n
}
