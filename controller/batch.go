package controller

import "fmt"

// batchFormat is the first byte of an encoded batch. docs/format/events.md has the layout.
const batchFormat = 1

// eventVersion is what this version of the program writes into every event.
const eventVersion = 0

// Batch is what one raft entry holds: the events of one round of decisions, and what they were decided on.
type Batch struct {
	Epoch  uint64 // the controller's: the raft term in which it leads
	Base   uint64 // LastIndex of the image that was decided on
	Events []Event
}

// Encode appends the batch's bytes to dst.
func (b Batch) Encode(dst []byte) []byte {
	c := &coder{buf: append(dst, batchFormat)}
	count := uint64(len(b.Events))
	c.uvarint(&b.Epoch)
	c.uvarint(&b.Base)
	c.uvarint(&count)
	body := coder{}
	for _, e := range b.Events {
		body.buf = body.buf[:0]
		e.code(&body)
		kind, version := uint64(e.kind()), uint64(eventVersion)
		c.uvarint(&kind)
		c.uvarint(&version)
		c.length(len(body.buf))
		c.buf = append(c.buf, body.buf...)
	}
	return c.buf
}

// DecodeBatch reads an encoded batch. The events don't refer to data. Errors are ErrUnreadable.
func DecodeBatch(data []byte) (Batch, error) {
	if len(data) == 0 || data[0] != batchFormat {
		return Batch{}, fmt.Errorf("%w: not a batch of format %d", ErrUnreadable, batchFormat)
	}
	var b Batch
	c := &coder{buf: data[1:], reading: true}
	c.uvarint(&b.Epoch)
	c.uvarint(&b.Base)
	n := c.length(0)
	var body coder
	for i := 0; i < n && c.err == nil; i++ {
		if e := decodeEvent(c, &body); e != nil {
			b.Events = append(b.Events, e)
		}
	}
	if c.err == nil && len(c.buf) > 0 {
		c.fail("end of batch")
	}
	return b, c.err
}

// decodeEvent reads one event; body is kept between events for its memory.
func decodeEvent(c, body *coder) Event {
	var kind, version uint64
	c.uvarint(&kind)
	c.uvarint(&version)
	n := c.length(0)
	if c.err != nil {
		return nil
	}
	e := newEvent(eventKind(kind))
	if e == nil || version > eventVersion {
		c.fail(fmt.Sprintf("kind %d or version %d: this program is too old for it", kind, version))
		return nil
	}
	*body = coder{buf: c.buf[:n:n], reading: true, version: version, scratch: body.scratch}
	e.code(body)
	if body.err == nil && len(body.buf) > 0 {
		body.fail("end of event")
	}
	c.buf = c.buf[n:]
	if body.err != nil {
		c.err = body.err
	}
	return e
}
