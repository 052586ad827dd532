package controller

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// coder writes or reads the fields of an event: one function (Event.code) does both, so that the two can't disagree.
// Integers are zigzag varints, strings and lists carry their length first. After the first error it does nothing.
type coder struct {
	buf     []byte // grows when writing, shrinks when reading
	reading bool
	version uint64 // of the event at hand, when reading
	scratch []int32
	err     error
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: bad %s", ErrUnreadable, what)
	}
	c.buf = nil
}

func (c *coder) uvarint(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	u, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.fail("number")
		return
	}
	*v, c.buf = u, c.buf[n:]
}

func (c *coder) int64(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uvarint(&u)
	if c.reading {
		*v = int64(u>>1) ^ -int64(u&1)
	}
}

func (c *coder) int32(v *int32) {
	w := int64(*v)
	c.int64(&w)
	if w < math.MinInt32 || w > math.MaxInt32 {
		c.fail("32-bit number")
		return
	}
	if c.reading {
		*v = int32(w)
	}
}

func (c *coder) int16(v *int16) {
	w := int64(*v)
	c.int64(&w)
	if w < math.MinInt16 || w > math.MaxInt16 {
		c.fail("16-bit number")
		return
	}
	if c.reading {
		*v = int16(w)
	}
}

func (c *coder) bool(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	c.uvarint(&u)
	if u > 1 {
		c.fail("flag")
	}
	if c.reading {
		*v = u == 1
	}
}

func (c *coder) str(v *string) {
	n := c.length(len(*v))
	if !c.reading {
		c.buf = append(c.buf, *v...)
		return
	}
	*v, c.buf = string(c.buf[:n]), c.buf[n:]
}

func (c *coder) optional(v **string) {
	there := *v != nil
	c.bool(&there)
	if c.reading {
		*v = nil
	}
	if !there {
		return
	}
	if c.reading {
		*v = new(string)
	}
	c.str(*v)
}

func (c *coder) uuid(v *[16]byte) {
	if !c.reading {
		c.buf = append(c.buf, v[:]...)
		return
	}
	if len(c.buf) < len(v) {
		c.fail("id")
		return
	}
	c.buf = c.buf[copy(v[:], c.buf):]
}

// ints is a list of numbers. When reading, a list that equals like shares its memory: most ISRs are their replicas.
func (c *coder) ints(v *[]int32, like []int32) {
	n := c.length(len(*v))
	if !c.reading {
		for i := range *v {
			c.int32(&(*v)[i])
		}
		return
	}
	c.scratch = c.scratch[:0]
	for range n {
		var id int32
		c.int32(&id)
		c.scratch = append(c.scratch, id)
	}
	switch {
	case n == 0:
		*v = nil
	case slices.Equal(c.scratch, like):
		*v = like
	default:
		*v = slices.Clone(c.scratch)
	}
}

// length writes a length, or reads one that can't exceed the bytes that are left.
func (c *coder) length(n int) int {
	u := uint64(n)
	c.uvarint(&u)
	if !c.reading {
		return n
	}
	if u > uint64(len(c.buf)) {
		c.fail("length")
	}
	if c.err != nil {
		return 0
	}
	return int(u)
}

func sliceOf[T any](c *coder, v *[]T, each func(*coder, *T)) {
	n := c.length(len(*v))
	if !c.reading {
		for i := range *v {
			each(c, &(*v)[i])
		}
		return
	}
	*v = nil
	for i := 0; i < n && c.err == nil; i++ { // it grows with what is there, not with what is claimed
		var element T
		each(c, &element)
		*v = append(*v, element)
	}
}
