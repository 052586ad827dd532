package debug

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

// API is one API as both sides know it.
type API struct {
	Key    int16  `json:"key"`
	Name   string `json:"name"`
	Broker *Span  `json:"broker"` // null: the broker does not serve it
	Own    *Span  `json:"own"`    // null: this command does not know it
}

// Span is a range of versions.
type Span struct {
	Min int16 `json:"min"`
	Max int16 `json:"max"`
}

func (s *Span) String() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%d-%d", s.Min, s.Max)
}

// Feature is a feature of the cluster, and at which level it is.
type Feature struct {
	Name      string `json:"name"`
	Supported *Span  `json:"supported"`
	Finalized *int16 `json:"finalized"` // null: not at all
}

// VersionTable is the answer to ApiVersions beside what is known here.
type VersionTable struct {
	Address  string    `json:"address"`
	APIs     []API     `json:"apis"`
	Features []Feature `json:"features"`
	Epoch    int64     `json:"finalizedFeaturesEpoch"`
}

// WriteTable prints the APIs, then the features.
func (v *VersionTable) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w, "KEY", "NAME", "BROKER", "HERE")
	for _, a := range v.APIs {
		t.Row(a.Key, a.Name, a.Broker.String(), a.Own.String())
	}
	if err := t.Flush(); err != nil || len(v.Features) == 0 {
		return err
	}
	fmt.Fprintln(w)
	t = cli.NewTableWriter(w, "FEATURE", "SUPPORTED", "FINALIZED")
	for _, f := range v.Features {
		level := "-"
		if f.Finalized != nil {
			level = fmt.Sprint(*f.Finalized)
		}
		t.Row(f.Name, f.Supported.String(), level)
	}
	return t.Flush()
}

// Versions asks a broker what it serves; nil is the first bootstrap address. all lists what only one side knows too.
func Versions(ctx context.Context, t cli.Target, broker *int32, all bool) (*VersionTable, error) {
	to, err := route(ctx, t, kmsg.NewPtrApiVersionsRequest(), broker)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, t, to.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	table := &VersionTable{Address: to.address, APIs: []API{}, Features: featuresOf(c.features), Epoch: c.features.FinalizedFeaturesEpoch}
	keys := map[int16]bool{}
	for key := range c.versions {
		keys[key] = true
	}
	for key := int16(0); all && key <= kmsg.MaxKey; key++ {
		keys[key] = keys[key] || kmsg.RequestForKey(key) != nil
	}
	for key := range keys {
		a := API{Key: key, Name: kmsg.NameForKey(key)}
		if s, ok := c.versions[key]; ok {
			a.Broker = &Span{s.MinVersion, s.MaxVersion}
		}
		if req := kmsg.RequestForKey(key); req != nil {
			a.Own = &Span{0, req.MaxVersion()}
		}
		table.APIs = append(table.APIs, a)
	}
	slices.SortFunc(table.APIs, func(a, b API) int { return int(a.Key) - int(b.Key) })
	return table, nil
}

func featuresOf(resp *kmsg.ApiVersionsResponse) []Feature {
	list := []Feature{}
	for _, f := range resp.SupportedFeatures {
		list = append(list, Feature{Name: f.Name, Supported: &Span{f.MinVersion, f.MaxVersion}})
	}
	for _, f := range resp.FinalizedFeatures {
		i := slices.IndexFunc(list, func(have Feature) bool { return have.Name == f.Name })
		if i < 0 {
			i, list = len(list), append(list, Feature{Name: f.Name})
		}
		list[i].Finalized = &f.MaxVersionLevel
	}
	slices.SortFunc(list, func(a, b Feature) int { return strings.Compare(a.Name, b.Name) })
	return list
}
