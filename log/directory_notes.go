package log

import (
	"slices"
	"strings"
)

// What a node with several data directories keeps in their meta.properties (docs/format/meta.md): which of them belong together, and
// which have failed.

// Note is the value that SetNote stored under a key; empty if there is none.
func (d *Directory) Note(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.meta.extra {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// SetNote keeps a value of one line in the directory's meta.properties, durably. An empty one removes the key. It must be no key
// of the file's own.
func (d *Directory) SetNote(key, value string) error {
	if d.Note(key) == value {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.meta
	m.extra = slices.DeleteFunc(slices.Clone(m.extra), func(line string) bool {
		k, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(k) == key
	})
	if value != "" {
		m.extra = append(m.extra, key+"="+strings.Join(strings.Fields(value), " "))
	}
	return d.store(m)
}
