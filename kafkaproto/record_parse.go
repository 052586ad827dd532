package kafkaproto

import "encoding/binary"

// minRecordLen is the smallest record: seven fields of one byte each.
const minRecordLen = 7

// rawRecord is a record with its lengths checked and nothing copied.
type rawRecord struct {
	size        int // all of it, the length in front included
	tsDelta     int64
	offsetDelta int64
	key, value  []byte // nil for null
	numHeaders  int
	headers     []byte // exactly numHeaders headers
}

// parseRecord reads the record at the start of p, which may hold more behind it. It is false if the record is malformed
// or cut short. It never allocates.
func parseRecord(p []byte, r *rawRecord) bool {
	length, n := varint(p)
	if n <= 0 || length < minRecordLen-1 || length > int64(len(p)-n) {
		return false
	}
	r.size = n + int(length)
	return parseRecordBody(p[n:r.size:r.size], r)
}

// parseRecordBody reads a record without the length in front; p is exactly it.
func parseRecordBody(p []byte, r *rawRecord) bool {
	p = p[1:] // attributes: unused to this day
	var n int
	if r.tsDelta, n = varlong(p); n <= 0 {
		return false
	}
	p = p[n:]
	if r.offsetDelta, n = varint(p); n <= 0 {
		return false
	}
	var ok bool
	if r.key, p, ok = nullableVarBytes(p[n:]); !ok {
		return false
	}
	if r.value, p, ok = nullableVarBytes(p); !ok {
		return false
	}
	count, n := varint(p)
	if n <= 0 || count < 0 {
		return false
	}
	r.numHeaders, r.headers = int(count), p[n:]
	if count == 0 {
		return len(r.headers) == 0
	}
	return checkHeaders(r.headers, count)
}

func checkHeaders(p []byte, count int64) bool {
	if count > int64(len(p)/2) {
		return false
	}
	for ; count > 0; count-- {
		var ok bool
		if _, p, ok = varBytes(p); !ok {
			return false
		}
		if _, p, ok = nullableVarBytes(p); !ok {
			return false
		}
	}
	return len(p) == 0
}

// varBytes reads bytes with a varint length that must not be negative.
func varBytes(p []byte) (b, rest []byte, ok bool) {
	length, n := varint(p)
	if n <= 0 || length < 0 || length > int64(len(p)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return p[n:end:end], p[end:], true
}

// nullableVarBytes reads bytes with a varint length of which -1 means null.
func nullableVarBytes(p []byte) (b, rest []byte, ok bool) {
	length, n := varint(p)
	if n <= 0 || length < -1 || length > int64(len(p)-n) {
		return nil, nil, false
	}
	if length < 0 {
		return nil, p[n:], true
	}
	end := n + int(length)
	return p[n:end:end], p[end:], true
}

// varint reads a zigzag varint of at most 32 bits, as lengths and offset deltas are. n is 0 or negative if p holds none.
func varint(p []byte) (v int64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return int64(p[0]>>1) ^ -int64(p[0]&1), 1
	}
	return slowVarint(p)
}

func slowVarint(p []byte) (int64, int) {
	u, n := uvarint(p)
	if n <= 0 {
		return 0, -1
	}
	return int64(u>>1) ^ -int64(u&1), n
}

// varlong reads a zigzag varint of at most 64 bits, as timestamp deltas are.
func varlong(p []byte) (v int64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return int64(p[0]>>1) ^ -int64(p[0]&1), 1
	}
	return binary.Varint(p)
}

// parseHeaders turns checked header bytes into headers, appended to dst.
func parseHeaders(dst []Header, r *rawRecord) []Header {
	p := r.headers
	for range r.numHeaders {
		var h Header
		var key []byte
		key, p, _ = varBytes(p)
		h.Key = string(key)
		h.Value, p, _ = nullableVarBytes(p)
		dst = append(dst, h)
	}
	return dst
}
