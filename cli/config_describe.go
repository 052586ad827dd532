package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigsOptions says whose configuration to show and how much of it.
type DescribeConfigsOptions struct {
	Kind    string   // one of ConfigKinds
	Names   []string // empty: all of the kind
	Default bool     // of kind broker: what is set for all brokers; excludes Names
	All     bool     // also what is as by default
	Verbose bool     // with types, synonyms and documentation
}

// ConfigDescription is the configuration of one resource, sorted by key.
type ConfigDescription struct {
	Kind    string        `json:"kind"`
	Name    string        `json:"name"` // empty: the default of all brokers
	Configs []ConfigValue `json:"configs"`

	verbose bool
}

// ConfigValue is one property. The last four fields are only told with Verbose.
type ConfigValue struct {
	Name          string               `json:"name"`
	Value         *string              `json:"value"` // null: none, or not to be seen
	Source        string               `json:"source"`
	ReadOnly      bool                 `json:"readOnly,omitempty"`
	Sensitive     bool                 `json:"sensitive,omitempty"`
	Type          string               `json:"type,omitempty"`
	Default       *string              `json:"default,omitempty"`
	Synonyms      []ConfigValueSynonym `json:"synonyms,omitempty"`
	Documentation string               `json:"documentation,omitempty"`
}

// ConfigValueSynonym is where the value is looked for, in this order.
type ConfigValueSynonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

// ConfigDescriptions are in the order asked for, or by name.
type ConfigDescriptions []ConfigDescription

// WriteTable prints a table for each resource.
func (l ConfigDescriptions) WriteTable(w io.Writer) error {
	return writeTables(w, l, (*ConfigDescription).writeTable)
}

func (d *ConfigDescription) writeTable(w io.Writer) error {
	fmt.Fprintln(w, ConfigResource{d.Kind, d.Name})
	if len(d.Configs) == 0 {
		_, err := fmt.Fprintln(w, "nothing differs from the defaults")
		return err
	}
	columns := []string{"KEY", "VALUE", "SOURCE"}
	if d.verbose {
		columns = append(columns, "TYPE", "READ-ONLY", "SYNONYMS")
	}
	t := NewTableWriter(w, columns...)
	for i := range d.Configs {
		c := &d.Configs[i]
		cells := []any{c.Name, c.shown(), c.Source}
		if d.verbose {
			cells = append(cells, orDash(c.Type), yesOrDash(c.ReadOnly), c.synonyms())
		}
		t.Row(cells...)
	}
	return t.Flush()
}

func (c *ConfigValue) shown() string { return shownValue(c.Value, c.Sensitive) }

// shownValue is a value in a table; a line break would end the row.
func shownValue(v *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(hidden)"
	case v == nil:
		return "-"
	case *v == "":
		return `""`
	}
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(*v)
}

func yesOrDash(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func (c *ConfigValue) synonyms() string {
	parts := make([]string, len(c.Synonyms))
	for i, s := range c.Synonyms {
		parts[i] = fmt.Sprintf("%s:%s=%s", s.Source, s.Name, shownValue(s.Value, c.Sensitive))
	}
	return orDash(strings.Join(parts, ", "))
}

// DescribeConfigs shows configurations (DescribeConfigs, key 32). Those that could be described are returned even if the
// error, which joins those of the others, is not nil.
func DescribeConfigs(ctx context.Context, t Target, o DescribeConfigsOptions) (ConfigDescriptions, error) {
	resources, err := o.named()
	if err != nil {
		return nil, err
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	if len(resources) == 0 {
		kind, _ := parseConfigKind(o.Kind) // named has checked it
		if resources, err = everyResource(ctx, kadm.NewClient(client), kind); err != nil {
			return nil, err
		}
	}
	found, err := fetchConfigs(ctx, client, resources, o.Verbose)
	list := ConfigDescriptions{}
	for _, r := range resources {
		if entries, ok := found[r]; ok {
			list = append(list, describeConfig(r, entries, o))
		}
	}
	return list, err
}

// named are the resources that are asked for by name.
func (o *DescribeConfigsOptions) named() ([]ConfigResource, error) {
	kind, err := parseConfigKind(o.Kind)
	if err != nil {
		return nil, err
	}
	if o.Default {
		if kind != "broker" || len(o.Names) > 0 {
			return nil, &UsageError{errors.New("--default is for brokers, and takes the place of a name")}
		}
		return []ConfigResource{{Kind: kind}}, nil
	}
	var list []ConfigResource
	for _, name := range distinct(o.Names) {
		r, err := ParseConfigResource(kind, name)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func describeConfig(r ConfigResource, entries []configEntry, o DescribeConfigsOptions) ConfigDescription {
	d := ConfigDescription{Kind: r.Kind, Name: r.Name, Configs: []ConfigValue{}, verbose: o.Verbose}
	for i := range entries {
		e := &entries[i]
		if !o.All && e.Source == kmsg.ConfigSourceDefaultConfig {
			continue
		}
		c := ConfigValue{Name: e.Name, Value: e.Value, Source: e.Source.String(), ReadOnly: e.ReadOnly, Sensitive: e.IsSensitive}
		if o.Verbose {
			c.verbose(e)
		}
		d.Configs = append(d.Configs, c)
	}
	return d
}

func (c *ConfigValue) verbose(e *configEntry) {
	if e.ConfigType != kmsg.ConfigTypeUnknown {
		c.Type = e.ConfigType.String()
	}
	c.Default = defaultOf(e)
	for _, s := range e.ConfigSynonyms {
		c.Synonyms = append(c.Synonyms, ConfigValueSynonym{s.Name, s.Value, s.Source.String()})
	}
	if e.Documentation != nil {
		c.Documentation = *e.Documentation
	}
}
