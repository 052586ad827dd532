package kafkaproto

// Records calls fn for each record of the batch in order, decompressed within MaxDecompressed.
func Records(b Batch, fn func(Record) error) error { return nil }
