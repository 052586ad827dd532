package debug

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

// decoder fills a message from JSON. What is not named keeps its default.
type decoder struct {
	set map[string]bool // the fields that were named, without indexes
}

// decode reads text into m and says which fields it named. The error is a usage error that names the place.
func decode(text []byte, m message) (map[string]bool, error) {
	d := &decoder{set: map[string]bool{}}
	if len(bytes.TrimSpace(text)) == 0 {
		return d.set, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("the request is not JSON: %w", err)}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &cli.UsageError{Err: errors.New("there is more behind the request")}
	}
	if err := d.object(reflect.ValueOf(m).Elem(), value, "", ""); err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	return d.set, nil
}

// object sets the fields of v. path has no indexes and leads to Field.Path, at is where the reader finds it.
func (d *decoder) object(v reflect.Value, value any, path, at string) error {
	fields, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %s where an object belongs", place(at), kindOf(value))
	}
	for given, inner := range fields {
		if strings.EqualFold(given, tagsName) {
			if err := readTags(v, inner, at); err != nil {
				return err
			}
			continue
		}
		i, name, err := find(v.Type(), given, path == "", at)
		if err != nil {
			return err
		}
		d.set[path+name] = true
		if err := d.value(v.Field(i), inner, path+name, at+name); err != nil {
			return err
		}
	}
	return nil
}

// find is the field of that name, in whatever case, with Kafka's Ms for kmsg's Millis.
func find(t reflect.Type, given string, top bool, at string) (int, string, error) {
	var names []string
	plain := func(s string) string {
		return strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(s, "_", "")), "illis")
	}
	want := plain(given)
	if strings.HasSuffix(want, "ms") {
		want = strings.TrimSuffix(want, "s")
	}
	for i := range t.NumField() {
		name, ok := fieldName(t, i, top)
		if !ok {
			continue
		}
		if strings.EqualFold(name, given) || plain(name) == want {
			return i, name, nil
		}
		names = append(names, name)
	}
	return 0, "", fmt.Errorf("%s: no field %q (there: %s)", place(strings.TrimSuffix(at, ".")), given, strings.Join(names, ", "))
}

func place(at string) string {
	if at = strings.TrimSuffix(at, "."); at == "" {
		return "the request"
	}
	return at
}

func (d *decoder) value(v reflect.Value, value any, path, at string) error {
	if value == nil {
		if v.Kind() != reflect.Pointer && v.Kind() != reflect.Slice {
			return fmt.Errorf("%s: can't be null", at)
		}
		v.SetZero()
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(newOf(v.Type().Elem()).Addr())
		return d.value(v.Elem(), value, path, at)
	case reflect.Struct:
		return d.object(v, value, path+".", at+".")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return scalar(at, value, "a string", func(s string) error { b, err := readBytes(s); v.SetBytes(b); return err })
		}
		return d.slice(v, value, path, at)
	case reflect.Array:
		return scalar(at, value, "a string", func(s string) error {
			id, err := readUUID(s)
			reflect.Copy(v, reflect.ValueOf(id[:]))
			return err
		})
	case reflect.String:
		return scalar(at, value, "a string", func(s string) error { v.SetString(s); return nil })
	case reflect.Bool:
		return scalar(at, value, "true or false", func(b bool) error { v.SetBool(b); return nil })
	}
	return number(v, value, at)
}

// scalar hands value on if it is of the right kind.
func scalar[T any](at string, value any, kind string, set func(T) error) error {
	t, ok := value.(T)
	if !ok {
		return fmt.Errorf("%s: %s where %s belongs", at, kindOf(value), kind)
	}
	if err := set(t); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

func (d *decoder) slice(v reflect.Value, value any, path, at string) error {
	list, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s: %s where an array belongs", at, kindOf(value))
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, inner := range list {
		out.Index(i).Set(newOf(v.Type().Elem()))
		if err := d.value(out.Index(i), inner, path+"[]", fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

// number reads numbers, and the names of enumerations.
func number(v reflect.Value, value any, at string) error {
	if s, ok := value.(string); ok {
		u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
		if !ok {
			return fmt.Errorf("%s: a string where a number belongs", at)
		}
		if err := u.UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		return nil
	}
	n, ok := value.(json.Number)
	if !ok {
		return fmt.Errorf("%s: %s where a number belongs", at, kindOf(value))
	}
	bits := v.Type().Bits()
	var err error
	switch {
	case v.CanInt():
		var i int64
		i, err = strconv.ParseInt(n.String(), 10, bits)
		v.SetInt(i)
	case v.CanUint():
		var u uint64
		u, err = strconv.ParseUint(n.String(), 10, bits)
		v.SetUint(u)
	default:
		var f float64
		f, err = n.Float64()
		v.SetFloat(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %s is no %s", at, n, v.Kind())
	}
	return nil
}

func readTags(v reflect.Value, value any, at string) error {
	list, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: tagged fields are an object of numbers and bytes", place(at))
	}
	i := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return f.Type == tagsType })
	if i < 0 {
		return fmt.Errorf("%s: has no tagged fields", place(at))
	}
	tags := v.Field(i).Addr().Interface().(*kmsg.Tags)
	for key, inner := range list {
		n, err := strconv.ParseUint(key, 10, 32)
		if err != nil || n > math.MaxInt32 {
			return fmt.Errorf("%s: %q is no number of a tagged field", place(at), key)
		}
		if err := scalar(place(at)+" tag "+key, inner, "a string", func(s string) error {
			b, err := readBytes(s)
			tags.Set(uint32(n), b)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// readBytes reads text:..., hex:... or base64.
func readBytes(s string) ([]byte, error) {
	if text, ok := strings.CutPrefix(s, textMark); ok {
		return []byte(text), nil
	}
	if digits, ok := strings.CutPrefix(s, "hex:"); ok {
		return hex.DecodeString(digits)
	}
	s = strings.TrimPrefix(s, "base64:")
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not base64; write text:... for what is text, hex:... for hex digits", s)
	}
	return b, nil
}

// readUUID reads Kafka's base64 and the usual form with hyphens.
func readUUID(s string) (id [16]byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) != len(id) {
		b, err = hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	}
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%q is no uuid", s)
	}
	return [16]byte(b), nil
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case string:
		return "a string"
	case bool:
		return "true or false"
	}
	return "a number"
}
