package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gopkg.in/yaml.v3"
)

// Format is how a read command prints.
type Format string

// The formats of every read command. Text exists for consume alone.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
	Text  Format = "text"
)

// ParseFormat checks a value of -o against the formats a command allows; the error is a UsageError.
func ParseFormat(s string, allowed ...Format) (Format, error) {
	names := make([]string, len(allowed))
	for i, f := range allowed {
		if Format(s) == f {
			return f, nil
		}
		names[i] = string(f)
	}
	return "", usagef("unknown output format %q (allowed: %s)", s, strings.Join(names, ", "))
}

// Printable is data that can also be laid out as a table. In JSON and YAML it is printed as it is, by its json tags.
type Printable interface {
	// WriteTable writes the table for people.
	WriteTable(w io.Writer) error
}

// Print writes v in format f to w.
func Print(w io.Writer, f Format, v Printable) error {
	switch f {
	case JSON:
		return writeJSON(w, v, "  ")
	case YAML:
		return writeYAML(w, v)
	default:
		return v.WriteTable(w)
	}
}

func writeJSON(w io.Writer, v any, indent string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

// writeYAML goes by way of JSON, which is a subset of YAML, so that one set of tags names the fields of both.
func writeYAML(w io.Writer, v any) error {
	var buf bytes.Buffer
	if err := writeJSON(&buf, v, ""); err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(buf.Bytes(), &node); err != nil {
		return err
	}
	plain(&node)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&node); err != nil {
		return err
	}
	return enc.Close()
}

// plain drops JSON's quotes and braces; the encoder quotes again what would be read as something else.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}

// TableWriter lays out columns: two blanks between them, the header in capitals.
type TableWriter struct{ tw *tabwriter.Writer }

// NewTableWriter writes the header at once; without columns there is none.
func NewTableWriter(w io.Writer, columns ...string) *TableWriter {
	t := &TableWriter{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(columns) > 0 {
		fmt.Fprintln(t.tw, strings.Join(columns, "\t"))
	}
	return t
}

// Row adds one row.
func (t *TableWriter) Row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.tw, "\t")
		}
		fmt.Fprint(t.tw, c)
	}
	fmt.Fprintln(t.tw)
}

// Flush writes what was added.
func (t *TableWriter) Flush() error { return t.tw.Flush() }

// writeTables prints one table below the other, an empty line between them.
func writeTables[T any](w io.Writer, list []T, write func(*T, io.Writer) error) error {
	for i := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := write(&list[i], w); err != nil {
			return err
		}
	}
	return nil
}

func joinInts(list []int32) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, ",")
}
