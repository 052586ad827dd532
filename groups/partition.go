package groups

import "unicode/utf16"

// PartitionFor is the partition of __consumer_offsets that holds a group: Java's String.hashCode (over UTF-16) without its
// sign bit, modulo the number of partitions, as Kafka's Utils.abs has it.
func PartitionFor(group string, partitions int32) int32 {
	if partitions <= 0 {
		return 0
	}
	var h int32
	for _, r := range group {
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			h = 31*h + int32(hi)
			r = lo
		}
		h = 31*h + int32(r)
	}
	return (h & 0x7fffffff) % partitions
}
