package kafkaproto

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What decoding a request may allocate: allowance bytes, and allowanceRatio for each byte of its body. Requests of
// clients stay far below: what comes near is an array of more empty elements than anyone has use for.
const (
	allowance      = 64 << 10
	allowanceRatio = 48

	tagCost = 64 // of an unknown tagged field, which kmsg keeps in a map
)

// A layout is where things are in a request of one key and version: enough to walk a body, check every length in it
// and add up what decoding it will allocate. Layouts are learned from kmsg itself (layout_learn.go), so there is no
// second description of the protocol to keep in step.
type layout struct {
	fields   []layoutField
	tagged   map[uint64]*layoutField // known tagged fields
	compact  bool                    // flexible version: varint lengths
	tags     bool                    // tagged fields at the end: a struct of a flexible version
	minBytes int                     // of an element in wire form
	memory   int                     // of an element when decoded
}

type layoutKind uint8

const (
	kindFixed  layoutKind = iota // size bytes
	kindString                   // nullable or not, and so all below
	kindBytes
	kindArray  // of elem
	kindStruct // elem itself, without a length
	kindNullableStruct
)

type layoutField struct {
	kind layoutKind
	size int
	elem *layout
}

var (
	errShortBody = errors.New("the body is cut short")
	errLongBody  = errors.New("bytes are left over behind a tagged field")
	errLength    = errors.New("a negative length")
	errArray     = errors.New("an array claims more elements than there can be")
	errTagOrder  = errors.New("tagged fields are not in rising order")
	errVarint    = errors.New("a malformed varint")
	errAmount    = errors.New("too many elements for the size of the body")
)

type layoutKey struct{ key, version int16 }

var layouts sync.Map // layoutKey -> *layout

// checkLayout walks the body of a request without allocating. The key and version must be known to kmsg.
func checkLayout(key, version int16, body []byte) error {
	l, ok := layouts.Load(layoutKey{key, version})
	if !ok {
		l, _ = layouts.LoadOrStore(layoutKey{key, version}, learnLayout(kmsg.RequestForKey(key), version))
	}
	w := layoutWalk{left: body, budget: allowance + allowanceRatio*len(body)}
	w.fields(l.(*layout))
	if w.err != nil {
		return ErrInvalidRequest.With("API key %d version %d: %w", key, version, w.err)
	}
	return nil
}

// layoutWalk goes over a body. After an error, left is empty and every step does nothing.
type layoutWalk struct {
	left   []byte
	budget int // bytes that decoding may still allocate
	err    error
}

func (w *layoutWalk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.left = nil
}

func (w *layoutWalk) skip(n int) {
	if n > len(w.left) {
		w.fail(errShortBody)
		return
	}
	w.left = w.left[n:]
}

func (w *layoutWalk) spend(n int) {
	if w.budget -= n; w.budget < 0 {
		w.fail(errAmount)
	}
}

func (w *layoutWalk) uvarint() uint64 {
	v, n := uvarint(w.left)
	if n <= 0 {
		w.fail(errVarint)
		return 0
	}
	w.left = w.left[n:]
	return v
}

// length reads a length of compact or plain form; -1 is null. wide lengths have four bytes in plain form.
func (w *layoutWalk) length(compact, wide bool) int {
	n := -1
	switch {
	case compact:
		n = int(w.uvarint()) - 1
	case wide && len(w.left) >= 4:
		n = int(int32(binary.BigEndian.Uint32(w.left)))
		w.left = w.left[4:]
	case !wide && len(w.left) >= 2:
		n = int(int16(binary.BigEndian.Uint16(w.left)))
		w.left = w.left[2:]
	default:
		w.fail(errShortBody)
	}
	if n < -1 {
		w.fail(errLength)
		return -1
	}
	return n
}

func (w *layoutWalk) fields(l *layout) {
	for i := range l.fields {
		if w.err != nil {
			return
		}
		w.field(l, &l.fields[i])
	}
	if l.tags && w.err == nil {
		w.walkTags(l)
	}
}

func (w *layoutWalk) field(l *layout, f *layoutField) {
	switch f.kind {
	case kindFixed:
		w.skip(f.size)
	case kindString:
		if n := w.length(l.compact, false); n > 0 {
			w.skip(n)
		}
	case kindBytes:
		if n := w.length(l.compact, true); n > 0 {
			w.skip(n)
		}
	case kindArray:
		w.array(f.elem, w.length(l.compact, true))
	case kindStruct:
		w.fields(f.elem)
	case kindNullableStruct:
		if len(w.left) > 0 && w.left[0] == 0xff {
			w.skip(1)
			return
		}
		w.skip(1)
		w.spend(f.elem.memory)
		w.fields(f.elem)
	}
}

func (w *layoutWalk) array(elem *layout, n int) {
	if n <= 0 || w.err != nil {
		return
	}
	if n > len(w.left)/elem.minBytes {
		w.fail(errArray)
		return
	}
	w.spend(n * elem.memory)
	if len(elem.fields) == 1 && elem.fields[0].kind == kindFixed && !elem.tags {
		w.skip(n * elem.fields[0].size)
		return
	}
	for ; n > 0 && w.err == nil; n-- {
		w.fields(elem)
	}
}

// walkTags walks the tagged fields that end a struct of a flexible version: their number must rise.
func (w *layoutWalk) walkTags(l *layout) {
	next := uint64(0)
	for count := w.uvarint(); count > 0 && w.err == nil; count-- {
		tag, size := w.uvarint(), w.uvarint()
		if w.err != nil {
			return
		}
		if tag < next {
			w.fail(errTagOrder)
			return
		}
		next = tag + 1
		if size > uint64(len(w.left)) {
			w.fail(errShortBody)
			return
		}
		if f := l.tagged[tag]; f != nil {
			w.taggedField(l, f, int(size))
			continue
		}
		w.spend(tagCost)
		w.skip(int(size))
	}
}

// taggedField walks a known tagged field, whose content must be exactly as long as was said.
func (w *layoutWalk) taggedField(l *layout, f *layoutField, size int) {
	after := w.left[size:]
	w.left = w.left[:size:size]
	w.field(l, f)
	if w.err == nil && len(w.left) != 0 {
		w.fail(errLongBody)
	}
	if w.err == nil {
		w.left = after
	}
}
