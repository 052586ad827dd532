package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// learner finds out a request's layout by encoding it with one thing changed at a time. kmsg's structs hold their
// fields in the order of the wire; what must be found is which of them a version has, and which are tagged.
type learner struct {
	req     kmsg.Request
	compact bool
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

// learnLayout uses req up.
func learnLayout(req kmsg.Request, version int16) *layout {
	setDefaults(reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	l := &learner{req: req, compact: req.IsFlexible()}
	return l.structure(reflect.ValueOf(req).Elem())
}

func (l *learner) encode() []byte { return l.req.AppendTo(nil) }

// structure learns the struct v, which lies in l.req so that changing it changes what is encoded.
func (l *learner) structure(v reflect.Value) *layout {
	out := &layout{compact: l.compact, tags: l.compact, memory: int(v.Type().Size()) + pointerCost(v.Type())}
	for i := range v.NumField() {
		f := v.Field(i)
		if name := v.Type().Field(i).Name; f.Type() == tagsType || name == "Version" && v.Addr().Interface() == any(l.req) {
			continue
		}
		if field, tag, tagged := l.field(f); field != nil && tagged {
			if out.tagged == nil {
				out.tagged = map[uint64]*layoutField{}
			}
			out.tagged[tag] = field
		} else if field != nil {
			out.fields = append(out.fields, *field)
		}
	}
	return out
}

// field learns one field; nil if this version has it not.
func (l *learner) field(f reflect.Value) (field *layoutField, tag uint64, tagged bool) {
	base, old := l.encode(), reflect.ValueOf(f.Interface())
	defer f.Set(old)
	if !change(f) {
		return nil, 0, false
	}
	changed := l.encode()
	if bytes.Equal(base, changed) {
		return nil, 0, false
	}
	tag, tagged = findTag(base, changed, l.growth(f))
	field = &layoutField{kind: kindFixed, size: int(f.Type().Size())}
	switch f.Kind() {
	case reflect.String:
		field.kind = kindString
	case reflect.Slice:
		if field.kind = kindBytes; f.Type().Elem().Kind() != reflect.Uint8 {
			field.kind, field.elem = kindArray, l.element(f)
		}
	case reflect.Pointer:
		if field.kind = kindString; f.Type().Elem().Kind() == reflect.Struct {
			return &layoutField{kind: kindNullableStruct, elem: l.structure(f.Elem())}, 0, false
		}
	case reflect.Struct:
		if !tagged { // else it must stay changed, so that it is encoded at all
			f.Set(old)
		}
		field.kind, field.elem = kindStruct, l.structure(f)
	}
	return field, tag, tagged
}

// growth is by how many bytes change lets the encoding grow if the field is not tagged.
func (l *learner) growth(f reflect.Value) int {
	switch f.Kind() {
	case reflect.String:
		return 1
	case reflect.Pointer:
		return 1
	case reflect.Struct:
		return l.growth(f.Field(0))
	case reflect.Slice:
		one := len(l.encode())
		f.Set(reflect.Append(f, f.Index(0)))
		defer f.Set(f.Slice(0, 1))
		return len(l.encode()) - one
	}
	return 0
}

// findTag tells a tagged field by the growth of the encoding: it is not there at all while it has its default. Where it
// begins, the number of tagged fields went from 0 to 1, and the tag follows.
func findTag(base, changed []byte, growth int) (tag uint64, tagged bool) {
	if len(changed) == len(base)+growth {
		return 0, false
	}
	at := 0
	for base[at] == changed[at] {
		at++
	}
	tag, _ = binary.Uvarint(changed[at+1:])
	return tag, true
}

// element learns what an array holds that change has put one element into.
func (l *learner) element(f reflect.Value) *layout {
	minBytes := l.growth(f)
	var elem *layout
	if e := f.Index(0); e.Kind() == reflect.Struct {
		elem = l.structure(e)
	} else {
		elem = l.scalar(e)
	}
	elem.minBytes = minBytes
	return elem
}

// scalar is the layout of an array's element that is no struct.
func (l *learner) scalar(e reflect.Value) *layout {
	f := layoutField{kind: kindFixed, size: int(e.Type().Size())}
	if e.Kind() == reflect.String {
		f = layoutField{kind: kindString}
	}
	return &layout{fields: []layoutField{f}, compact: l.compact, memory: int(e.Type().Size())}
}

// change gives f a value that is encoded otherwise than its default.
func change(f reflect.Value) bool {
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.SetInt(f.Int() + 1) // not back to the default if it was changed before
	case reflect.Uint16, reflect.Uint32:
		f.SetUint(f.Uint() + 1)
	case reflect.Float64:
		f.SetFloat(f.Float() + 1)
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Array: // a uuid
		f.Index(0).SetUint(f.Index(0).Uint() ^ 1)
	case reflect.Slice:
		e := reflect.New(f.Type().Elem()).Elem()
		setDefaults(e)
		f.Set(reflect.Append(reflect.MakeSlice(f.Type(), 0, 2), e))
	case reflect.Pointer:
		p := reflect.New(f.Type().Elem())
		setDefaults(p.Elem())
		if p.Elem().Kind() == reflect.String {
			p.Elem().SetString("x")
		}
		f.Set(p)
	case reflect.Struct:
		return change(f.Field(0))
	default:
		return false
	}
	return true
}

// setDefaults calls kmsg's Default on v where there is one.
func setDefaults(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

// pointerCost is what the strings behind a struct's pointers take at least.
func pointerCost(t reflect.Type) int {
	n := 0
	for i := range t.NumField() {
		if f := t.Field(i).Type; f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.String {
			n += int(f.Elem().Size())
		}
	}
	return n
}
