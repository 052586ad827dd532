package kafkaproto

// ConvertMessageSet turns what an old producer sent (Produce v0 to v2: message sets v0 or v1, perhaps wrapped) into one
// batch v2 with base offset 0.
func ConvertMessageSet(set []byte, opts ConvertOptions) ([]byte, error) { return nil, nil }

// ConvertOptions bound a conversion.
type ConvertOptions struct {
	MaxDecompressed int // bytes; 0: the constant MaxDecompressed
}

// DownConvert writes batches v2 as a message set of magic 0 or 1 for old fetchers (Fetch v0-v1: 0, v2-v3: 1). Offsets stay; control batches are left out.
func DownConvert(batches []byte, magic int8) ([]byte, error) { return nil, nil }
