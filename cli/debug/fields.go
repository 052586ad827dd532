package debug

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// message is what requests and responses share.
type message interface {
	Key() int16
	MaxVersion() int16
	SetVersion(int16)
	GetVersion() int16
	AppendTo([]byte) []byte
}

// Field is one field of a message, as found out by encoding it.
type Field struct {
	Path     string `json:"field"` // topics[].partitions[].partition
	Type     string `json:"type"`
	Min      int16  `json:"minVersion"`
	Max      int16  `json:"maxVersion"`
	Nullable bool   `json:"nullable"`
	Default  string `json:"default"`
}

// in says whether version v carries the field.
func (f *Field) in(v int16) bool { return f.Min <= v && v <= f.Max }

// Versions writes the range as Kafka's schemas do.
func (f *Field) Versions(newest int16) string {
	switch {
	case f.Min > f.Max:
		return "none"
	case f.Max == newest:
		return fmt.Sprintf("%d+", f.Min)
	case f.Min == f.Max:
		return fmt.Sprint(f.Min)
	}
	return fmt.Sprintf("%d-%d", f.Min, f.Max)
}

// fieldsOf lists the fields of m's kind in the order of the schema. m is an empty one, and is not kept.
func fieldsOf(m message) []Field {
	sample := reflect.ValueOf(m).Elem()
	fill(sample)
	w := &fieldWalk{m: m}
	w.walk(sample, "")
	return w.fields
}

// fieldWalk changes one field after the other and looks which versions that changes on the wire.
type fieldWalk struct {
	m      message
	fields []Field
}

func (w *fieldWalk) walk(v reflect.Value, path string) {
	for i := range v.NumField() {
		f := v.Field(i)
		name, ok := fieldName(v.Type(), i, path == "")
		if !ok {
			continue
		}
		at := path + name
		w.add(f, at, defaultOf(v, i))
		switch {
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			w.walk(f.Index(0), at+"[].")
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct:
			w.walk(f.Elem(), at+".")
		case f.Kind() == reflect.Struct:
			w.walk(f, at+".")
		}
	}
}

func (w *fieldWalk) add(f reflect.Value, at, def string) {
	d := Field{Path: at, Type: typeName(f.Type()), Min: 1, Max: 0, Default: def, Nullable: f.Kind() == reflect.Pointer}
	full := reflect.New(f.Type()).Elem()
	full.Set(f)
	other := changed(f)
	for v := range w.m.MaxVersion() + 1 {
		before := w.encode(v)
		f.Set(other)
		after := w.encode(v)
		f.Set(full)
		if bytes.Equal(before, after) {
			continue
		}
		if d.Min > d.Max {
			d.Min = v
		}
		d.Max = v
		if f.Kind() == reflect.Slice && !d.Nullable {
			d.Nullable = w.tellsNull(f, full, v)
		}
	}
	w.fields = append(w.fields, d)
}

// tellsNull says whether version v has a null beside an empty array.
func (w *fieldWalk) tellsNull(f, full reflect.Value, v int16) bool {
	f.Set(reflect.Zero(f.Type()))
	null := w.encode(v)
	f.Set(reflect.MakeSlice(f.Type(), 0, 0))
	empty := w.encode(v)
	f.Set(full)
	return !bytes.Equal(null, empty)
}

func (w *fieldWalk) encode(v int16) []byte {
	w.m.SetVersion(v)
	return w.m.AppendTo(nil)
}

// fill gives every array one element and every pointer something to point to, so that all fields are on the wire.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Type != tagsType {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(newOf(v.Type().Elem()).Addr())
		fill(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v.Index(0).Set(newOf(v.Type().Elem()))
		}
		fill(v.Index(0))
	}
}

// changed is another value than v, that any field which is on the wire shows.
func changed(v reflect.Value) reflect.Value {
	n := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Bool:
		n.SetBool(!v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n.SetInt(v.Int() ^ 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n.SetUint(v.Uint() ^ 1)
	case reflect.Float64:
		n.SetFloat(v.Float() + 1)
	case reflect.String:
		n.SetString(v.String() + "x")
	case reflect.Slice:
		n.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			n.Index(i).Set(newOf(v.Type().Elem()))
			fill(n.Index(i))
		}
	case reflect.Array:
		n.Set(v)
		n.Index(0).SetUint(v.Index(0).Uint() ^ 1)
	case reflect.Pointer:
		n.Set(reflect.New(v.Type().Elem()))
		n.Elem().Set(changed(v.Elem()))
	case reflect.Struct:
		n.Set(v)
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type != tagsType {
				n.Field(i).Set(changed(v.Field(i)))
			}
		}
	}
	return n
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

// newOf makes a value as kmsg would: with the schema's defaults.
func newOf(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	return p.Elem()
}

// fieldName is how a field is called in JSON; false if it is none of the message's.
func fieldName(t reflect.Type, i int, top bool) (string, bool) {
	f := t.Field(i)
	if !f.IsExported() || f.Type == tagsType || top && f.Name == "Version" {
		return "", false
	}
	return lowerCamel(f.Name), true
}

// lowerCamel writes TopicID as topicId and ACLs as acls.
func lowerCamel(name string) string {
	r := []rune(name)
	for i := range r {
		if !unicode.IsUpper(r[i]) {
			break
		}
		last := i+1 == len(r)
		if i > 0 && !last && unicode.IsLower(r[i+1]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return strings.Replace(string(r), "ID", "Id", 1)
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[[16]byte]():
		return "uuid"
	case t == reflect.TypeFor[[]byte]():
		return "bytes"
	case t.Kind() == reflect.Slice:
		return "[]" + typeName(t.Elem())
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Struct:
		return "object"
	}
	return t.Kind().String()
}

// defaultOf is the default of the i-th field of v's type.
func defaultOf(v reflect.Value, i int) string {
	d := newOf(v.Type()).Field(i)
	switch d.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Struct:
		return ""
	case reflect.Array:
		return uuidText(d)
	case reflect.String:
		return `"` + d.String() + `"`
	}
	return fmt.Sprint(d.Interface())
}
