package groups

import (
	"math"
	"unicode/utf16"
)

// PartitionFor is the partition of __consumer_offsets that holds a group: the absolute value of Java's String.hashCode (over
// UTF-16) modulo the number of partitions. As in Kafka's Utils.abs the least number counts as 0.
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
	switch {
	case h == math.MinInt32:
		return 0
	case h < 0:
		h = -h
	}
	return h % partitions
}
