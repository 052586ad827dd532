package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/config"
)

func newConfig(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at configurations and change them",
		Example: `  streambus config print --config server.properties
  streambus config describe topic orders
  streambus config set topic orders retention.ms=86400000
  streambus config diff broker 1`,
	}
	c.AddCommand(newConfigPrint(a), newConfigDescribe(a), newConfigSet(a), newConfigUnset(a), newConfigAppend(a), newConfigSubtract(a), newConfigDiff(a))
	group(c)
	return c
}

func newConfigPrint(a *app) *cobra.Command {
	var src sourceFlags
	var changed bool
	c := &cobra.Command{
		Use:   "print [KEY]...",
		Short: "Show every value of the configuration and where it comes from",
		Long: `Reads the same flags, environment and file as serve and shows what serve would start with: every property with its
value and its origin. A KEY may end in * to stand for all that begin so.`,
		Example: `  streambus config print
  streambus config print --config server.properties --changed
  streambus config print 'log.*' listeners -o json`,
		Args:              takes(0, -1),
		ValidArgsFunction: completeKeys,
	}
	src.add(c)
	c.Flags().BoolVar(&changed, "changed", false, "only what is not a default")
	format := a.read(c)
	c.RunE = func(c *cobra.Command, keys []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		cfg, warnings, err := src.load(c)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(a.err, "streambus: warning: "+w.String())
		}
		list, err := configList(cfg.Entries(), keys, changed)
		if err != nil {
			return usage(c, err)
		}
		return cli.Print(a.out, f, list)
	}
	return c
}

func completeKeys(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, k := range config.Keys() {
		if k.Scope == config.BrokerScope {
			names = append(names, k.Name)
		}
	}
	return cli.Complete(names, prefix), cobra.ShellCompDirectiveNoFileComp
}

type configEntry struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"` // null: the property has none
	Origin string  `json:"origin"`
	Source string  `json:"source,omitempty"`
	Type   string  `json:"type"`
	Doc    string  `json:"doc,omitempty"`
}

type configEntries []configEntry

// WriteTable prints a property a line.
func (l configEntries) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w, "KEY", "VALUE", "ORIGIN")
	for _, e := range l {
		value := "-"
		if e.Value != nil {
			value = *e.Value
		}
		origin := e.Origin
		if e.Source != "" && e.Source != origin {
			origin += " (" + e.Source + ")"
		}
		t.Row(e.Name, value, origin)
	}
	return t.Flush()
}

func configList(entries []config.Entry, keys []string, changed bool) (configEntries, error) {
	list := configEntries{}
	found := map[string]bool{}
	for _, e := range entries {
		if key, ok := matching(keys, e.Key.Name); ok {
			found[key] = true
		} else if len(keys) > 0 {
			continue
		}
		if changed && e.Origin == config.OriginDefault {
			continue
		}
		row := configEntry{Name: e.Key.Name, Origin: e.Origin.String(), Source: e.Source, Type: string(e.Key.Type), Doc: e.Key.Doc}
		if e.Set {
			row.Value = &e.Value
		}
		list = append(list, row)
	}
	for _, key := range keys {
		if !found[key] {
			return nil, fmt.Errorf("there is no property %q", key)
		}
	}
	return list, nil
}

func matching(keys []string, name string) (string, bool) {
	i := slices.IndexFunc(keys, func(k string) bool {
		prefix, wild := strings.CutSuffix(k, "*")
		return k == name || wild && strings.HasPrefix(name, prefix)
	})
	if i < 0 {
		return "", false
	}
	return keys[i], true
}
