package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConfigDiff is where two configurations differ, sorted by key.
type ConfigDiff struct {
	Left        string             `json:"left"`
	Right       string             `json:"right"` // "default" if it is the defaults
	Differences []ConfigDifference `json:"differences"`
}

// ConfigDifference is one property; null is a value that isn't there.
type ConfigDifference struct {
	Name      string  `json:"name"`
	Left      *string `json:"left"`
	Right     *string `json:"right"`
	Sensitive bool    `json:"sensitive,omitempty"` // set, but not to be seen
}

// WriteTable prints a property a line.
func (d *ConfigDiff) WriteTable(w io.Writer) error {
	if len(d.Differences) == 0 {
		_, err := fmt.Fprintf(w, "%s and %s do not differ\n", d.Left, d.Right)
		return err
	}
	t := NewTableWriter(w, "KEY", d.Left, d.Right)
	for _, x := range d.Differences {
		t.Row(x.Name, shownValue(x.Left, x.Sensitive), shownValue(x.Right, false))
	}
	return t.Flush()
}

// DiffConfigs compares a resource with another, or with the defaults if other has no kind (DescribeConfigs, key 32).
func DiffConfigs(ctx context.Context, t Target, r, other ConfigResource) (*ConfigDiff, error) {
	resources := []ConfigResource{r}
	if other.Kind != "" {
		if other == r {
			return nil, usagef("%v is the same on both sides", r)
		}
		resources = append(resources, other)
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	found, err := fetchConfigs(ctx, client, resources, false)
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		if _, ok := found[r]; !ok {
			return nil, errors.New("the broker did not describe " + r.String())
		}
	}
	if other.Kind != "" {
		return diffResources(r, other, found[r], found[other]), nil
	}
	return diffDefaults(r, found[r]), nil
}

func diffDefaults(r ConfigResource, entries []configEntry) *ConfigDiff {
	d := &ConfigDiff{Left: r.String(), Right: "default", Differences: []ConfigDifference{}}
	for i := range entries {
		e := &entries[i]
		def := defaultOf(e)
		if e.IsSensitive {
			// A sensitive value is never told; that it is set is.
			if e.Source != kmsg.ConfigSourceDefaultConfig {
				d.Differences = append(d.Differences, ConfigDifference{e.Name, nil, def, true})
			}
			continue
		}
		if !sameValue(e.Value, def) {
			d.Differences = append(d.Differences, ConfigDifference{e.Name, e.Value, def, false})
		}
	}
	return d
}

func diffResources(left, right ConfigResource, a, b []configEntry) *ConfigDiff {
	d := &ConfigDiff{Left: left.String(), Right: right.String(), Differences: []ConfigDifference{}}
	values := map[string][2]*string{}
	for _, e := range a {
		values[e.Name] = [2]*string{e.Value, nil}
	}
	for _, e := range b {
		v := values[e.Name]
		v[1] = e.Value
		values[e.Name] = v
	}
	for name, v := range values {
		if !sameValue(v[0], v[1]) {
			d.Differences = append(d.Differences, ConfigDifference{Name: name, Left: v[0], Right: v[1]})
		}
	}
	slices.SortFunc(d.Differences, func(a, b ConfigDifference) int { return strings.Compare(a.Name, b.Name) })
	return d
}

func sameValue(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
