package kafkaproto

// quickRecord is parseRecord for what nearly every record looks like: no headers, and no length or delta of more than
// two bytes. It is false for all others, malformed ones too, which parseRecord then judges. Inlined throughout, it takes
// about a third of parseRecord's time, which counts once per record produced. value is not filled in, and key only tells
// null from the rest.
func quickRecord(p []byte, r *rawRecord) bool {
	if len(p) < 16 { // of which the first four numbers take at most nine
		return false
	}
	length, i := shortVarint(p, 0)
	end := i + int(length)
	if i == 0 || length < minRecordLen-1 || end > len(p) {
		return false
	}
	ts, i := shortVarint(p, i+1) // behind the attributes
	if i == 0 {
		return false
	}
	delta, i := shortVarint(p, i)
	if i == 0 {
		return false
	}
	r.size, r.tsDelta, r.offsetDelta, r.key = end, ts, delta, nil
	n, i := shortVarint(p, i)
	if n >= 0 {
		r.key = p[:0]
		i += int(n)
	}
	if n < -1 || i < 2 || i+2 > end {
		return false
	}
	n, i = shortVarint(p, i)
	if n > 0 {
		i += int(n)
	}
	// What is left must be the header count: one byte, zero.
	return n >= -1 && i > 2 && i+1 == end && p[i] == 0
}

// shortVarint reads a zigzag varint of one or two bytes, both of which must be there. A longer one gives index 0.
func shortVarint(p []byte, i int) (int64, int) {
	u := int64(p[i])
	if u < 0x80 {
		return u>>1 ^ -(u & 1), i + 1
	}
	if c := int64(p[i+1]); c < 0x80 {
		u = u&0x7f | c<<7
		return u>>1 ^ -(u & 1), i + 2
	}
	return 0, 0
}
