package kafkaproto

// Record is one record of a batch as Records hands it out. Key, Value and Headers point into the batch or into a
// buffer that is used again, so they are good until the callback returns.
type Record struct {
	Offset      Offset
	OffsetDelta int32
	Timestamp   Timestamp
	Key         []byte // nil for null
	Value       []byte // nil for null: a tombstone
	Headers     []Header
	Size        int // bytes of the record in its uncompressed form, the length before it included
}

// Header is one header of a record (KIP-82).
type Header struct {
	Key   string
	Value []byte // nil for null
}
