package debug

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// textMark stands before bytes that are written as the text they are; without it they are base64.
const textMark = "text:"

// encoder writes messages as JSON, in the order of the schema and without what their version has not.
type encoder struct {
	buf    bytes.Buffer
	absent map[string]bool // paths that the version does not carry
	nullIs map[string]bool // paths of arrays that may be null
}

// encode writes m, which has its version set.
func encode(m message, fields []Field) json.RawMessage {
	e := &encoder{absent: map[string]bool{}, nullIs: map[string]bool{}}
	for _, f := range fields {
		e.absent[f.Path] = !f.in(m.GetVersion())
		e.nullIs[f.Path] = f.Nullable
	}
	e.object(reflect.ValueOf(m).Elem(), "")
	return e.buf.Bytes()
}

func (e *encoder) object(v reflect.Value, path string) {
	e.buf.WriteByte('{')
	first := true
	key := func(name string) {
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		e.text(name)
		e.buf.WriteByte(':')
	}
	for i := range v.NumField() {
		if tags, ok := v.Field(i).Interface().(kmsg.Tags); ok && tags.Len() > 0 {
			key(tagsName)
			e.tags(tags)
			continue
		}
		name, ok := fieldName(v.Type(), i, path == "")
		if !ok || e.absent[path+name] {
			continue
		}
		key(name)
		e.value(v.Field(i), path+name)
	}
	e.buf.WriteByte('}')
}

// tagsName is the field of tagged fields that kmsg doesn't know, by their numbers.
const tagsName = "unknownTags"

func (e *encoder) tags(tags kmsg.Tags) {
	e.buf.WriteByte('{')
	first := true
	tags.Each(func(tag uint32, b []byte) {
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		e.text(strconv.FormatUint(uint64(tag), 10))
		e.buf.WriteByte(':')
		e.text(base64.StdEncoding.EncodeToString(b))
	})
	e.buf.WriteByte('}')
}

func (e *encoder) value(v reflect.Value, path string) {
	if s, ok := enumText(v); ok {
		e.text(s)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		e.buf.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.buf.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float64:
		fmt.Fprint(&e.buf, v.Float())
	case reflect.String:
		e.text(v.String())
	case reflect.Array:
		e.text(uuidText(v))
	case reflect.Pointer:
		if v.IsNil() {
			e.buf.WriteString("null")
			return
		}
		e.value(v.Elem(), path)
	case reflect.Struct:
		e.object(v, path+".")
	case reflect.Slice:
		e.slice(v, path)
	}
}

func (e *encoder) slice(v reflect.Value, path string) {
	switch {
	case v.IsNil() && e.nullIs[path]:
		e.buf.WriteString("null")
	case v.Type().Elem().Kind() == reflect.Uint8:
		e.text(bytesText(v.Bytes()))
	default:
		e.buf.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				e.buf.WriteByte(',')
			}
			if v.Index(i).Kind() == reflect.Struct {
				e.object(v.Index(i), path+"[].")
				continue
			}
			e.value(v.Index(i), path+"[]")
		}
		e.buf.WriteByte(']')
	}
}

func (e *encoder) text(s string) {
	enc := json.NewEncoder(&e.buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)               // a string into memory can't fail
	e.buf.Truncate(e.buf.Len() - 1) // the line end
}

// enumText is the name of a value of one of kmsg's enumerations, if it has one that can be read back.
func enumText(v reflect.Value) (string, bool) {
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok || v.Kind() == reflect.Pointer {
		return "", false
	}
	text, err := m.MarshalText()
	if err != nil {
		return "", false
	}
	back := reflect.New(v.Type())
	u, ok := back.Interface().(encoding.TextUnmarshaler)
	if !ok || u.UnmarshalText(text) != nil || back.Elem().Interface() != v.Interface() {
		return "", false
	}
	return string(text), true
}

// uuidText is Kafka's way to write one: base64 for URLs without padding.
func uuidText(v reflect.Value) string {
	var id [16]byte
	reflect.Copy(reflect.ValueOf(id[:]), v)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func bytesText(b []byte) string {
	if len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		return textMark + string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}
