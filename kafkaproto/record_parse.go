package kafkaproto

// minRecordLen is the smallest record: seven fields of one byte each.
const minRecordLen = 7

// rawRecord is a record with its lengths checked and nothing copied.
type rawRecord struct {
	size        int // all of it, the length in front included
	attributes  byte
	tsDelta     int64
	offsetDelta int64
	key, value  []byte // nil for null
	numHeaders  int
	headers     []byte // exactly numHeaders headers
	rest        []byte // all behind the timestamp delta
}

// parseRecord reads the record at the start of p, which may hold more behind it. It is false if the record is malformed
// or cut short. It never allocates.
func parseRecord(p []byte, r *rawRecord) bool {
	length, i := varintAt(p, 0)
	if i > len(p) || length < minRecordLen-1 || length > int64(len(p)-i) {
		return false
	}
	r.size = i + int(length)
	return parseRecordBody(p[i:r.size:r.size], r)
}

// parseRecordBody reads a record without the length in front; p is exactly it.
func parseRecordBody(p []byte, r *rawRecord) bool {
	i := 1 // behind the attributes, which are unused to this day
	r.tsDelta, i = varlongAt(p, i)
	if i > len(p) {
		return false
	}
	r.attributes, r.rest = p[0], p[i:]
	r.offsetDelta, i = varintAt(p, i)
	r.key, i = nullableBytesAt(p, i)
	r.value, i = nullableBytesAt(p, i)
	count, i := varintAt(p, i)
	if i > len(p) || count < 0 {
		return false
	}
	r.numHeaders, r.headers = int(count), p[i:]
	if count == 0 {
		return i == len(p)
	}
	return checkHeaders(p, i, count)
}

// checkHeaders tells whether exactly count headers are in p from i on.
func checkHeaders(p []byte, i int, count int64) bool {
	for ; count > 0 && i < len(p); count-- {
		var key []byte
		if key, i = nullableBytesAt(p, i); key == nil {
			return false
		}
		_, i = nullableBytesAt(p, i)
	}
	return count == 0 && i == len(p)
}

// The functions below read at an index and return the one behind. If there is nothing valid to read it is beyond, which
// is larger than any length, and stays so through further reads: one check at the end serves for all.
const beyond = 1 << 40

// nullableBytesAt reads bytes with a varint length of which -1 means null.
func nullableBytesAt(p []byte, i int) ([]byte, int) {
	n, i := varintAt(p, i)
	if n >= 0 && n <= int64(len(p)-i) {
		end := i + int(n)
		return p[i:end:end], end
	}
	if n != -1 {
		return nil, beyond
	}
	return nil, i
}

// varintAt reads a zigzag varint of at most 32 bits, as lengths and offset deltas are.
func varintAt(p []byte, i int) (int64, int) {
	if uint(i) < uint(len(p)) && p[i] < 0x80 {
		return int64(p[i]>>1) ^ -int64(p[i]&1), i + 1
	}
	return longVarintAt(p, i)
}

func longVarintAt(p []byte, i int) (int64, int) {
	if i+1 < len(p) && p[i+1] < 0x80 {
		u := uint64(p[i]&0x7f) | uint64(p[i+1])<<7
		return int64(u>>1) ^ -int64(u&1), i + 2
	}
	v, next := varlongAt(p, i)
	if next > i+5 || v != int64(int32(v)) {
		return 0, beyond
	}
	return v, next
}

// varlongAt reads a zigzag varint of at most 64 bits, as timestamp deltas are.
func varlongAt(p []byte, i int) (int64, int) {
	var u uint64
	for shift := 0; uint(i) < uint(len(p)) && shift < 70; shift += 7 {
		c := p[i]
		i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift == 63 && c > 1 {
				break
			}
			return int64(u>>1) ^ -int64(u&1), i
		}
	}
	return 0, beyond
}

// parseHeaders turns checked header bytes into headers, appended to dst.
func parseHeaders(dst []Header, r *rawRecord) []Header {
	i := 0
	for range r.numHeaders {
		var h Header
		var key []byte
		key, i = nullableBytesAt(r.headers, i)
		h.Key = string(key)
		h.Value, i = nullableBytesAt(r.headers, i)
		dst = append(dst, h)
	}
	return dst
}
