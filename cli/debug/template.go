package debug

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

// Template is an empty request. As JSON it is one to fill in, with one element in each array; as a table its fields.
type Template struct {
	Name    string
	Version int16
	Fields  []Field

	newest int16
	json   json.RawMessage
}

// MarshalJSON gives the request.
func (t *Template) MarshalJSON() ([]byte, error) { return t.json, nil }

// WriteTable prints a field a line.
func (t *Template) WriteTable(w io.Writer) error {
	table := cli.NewTableWriter(w, "FIELD", "TYPE", "VERSIONS", "NULL", "DEFAULT")
	for _, f := range t.Fields {
		null := ""
		if f.Nullable {
			null = "may be"
		}
		table.Row(f.Path, f.Type, f.Versions(t.newest), null, f.Default)
	}
	return table.Flush()
}

// NewTemplate makes the template of an API in one version; nil is the newest known here.
func NewTemplate(api string, version *int16) (*Template, error) {
	req, err := Find(api)
	if err != nil {
		return nil, err
	}
	t := &Template{Name: kmsg.NameForKey(req.Key()), Version: req.MaxVersion(), newest: req.MaxVersion(), Fields: fieldsOf(kmsg.RequestForKey(req.Key()))}
	if version != nil {
		if *version < 0 || *version > req.MaxVersion() {
			return nil, &cli.UsageError{Err: fmt.Errorf("%s has versions 0-%d here", t.Name, req.MaxVersion())}
		}
		t.Version = *version
	}
	fill(reflect.ValueOf(req).Elem())
	blank(reflect.ValueOf(req).Elem())
	req.SetVersion(t.Version)
	t.json = encode(req, t.Fields)
	return t, nil
}

// blank takes back what fill put where nothing or null would be said: bytes, and pointers to single values.
func blank(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type != tagsType {
				blank(v.Field(i))
			}
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() != reflect.Struct {
			v.SetZero()
			return
		}
		blank(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			return
		}
		blank(v.Index(0))
	}
}
