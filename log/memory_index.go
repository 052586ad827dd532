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

// dropThrough forgets the entries of files up to and including sealed, and lets go of their memory.
func dropThrough(entries []entry, sealed uint32) []entry {
	n := sort.Search(len(entries), func(i int) bool { return entries[i].file > sealed })
	if n == 0 {
		return entries
	}
	if n == len(entries) {
		return nil
	}
	return append([]entry(nil), entries[n:]...)
}

// inFile are the entries of one file, and those of older files that a truncation cut while it was active.
func inFile(entries []entry, id uint32) []entry {
	n := sort.Search(len(entries), func(i int) bool { return entries[i].file > id })
	return entries[:n:n]
}

// payloadBytes adds up what entries point to.
func payloadBytes(entries []entry) (n int64) {
	for i := range entries {
		n += int64(entries[i].length)
	}
	return n
}
