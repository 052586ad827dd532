package log

import (
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

// Short names of what every file of this package speaks of.
type (
	tp     = kafkaproto.TopicPartition
	offset = kafkaproto.Offset
)

// position is a byte in the WAL: the file's number in the upper half, the offset in the file in the lower. Positions
// are ordered as the bytes were written.
type position uint64

func at(file uint32, off int64) position { return position(uint64(file)<<32 | uint64(uint32(off))) }

func (p position) file() uint32 { return uint32(p >> 32) }
func (p position) off() int64   { return int64(uint32(p)) }

func (p position) String() string { return fmt.Sprintf("%d:%d", p.file(), p.off()) }

// less orders logs as the index does.
func less(a, b tp) bool {
	if a.Topic != b.Topic {
		return string(a.Topic[:]) < string(b.Topic[:])
	}
	return uint32(a.Partition) < uint32(b.Partition)
}
