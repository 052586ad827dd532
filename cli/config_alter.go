package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConfigOp is what a change does to a property.
type ConfigOp string

// Append and subtract are for lists; they change nothing if the value is, or is not, in the list already.
const (
	ConfigSet      ConfigOp = "set"
	ConfigUnset    ConfigOp = "unset"
	ConfigAppend   ConfigOp = "append"
	ConfigSubtract ConfigOp = "subtract"
)

var configOps = map[ConfigOp]kmsg.IncrementalAlterConfigOp{
	ConfigSet: kmsg.IncrementalAlterConfigOpSet, ConfigUnset: kmsg.IncrementalAlterConfigOpDelete,
	ConfigAppend: kmsg.IncrementalAlterConfigOpAppend, ConfigSubtract: kmsg.IncrementalAlterConfigOpSubtract,
}

// ConfigChange is a change of one property.
type ConfigChange struct {
	Name   string   `json:"name"`
	Op     ConfigOp `json:"op"`
	Value  *string  `json:"value,omitempty"` // nil for unset
	Before *string  `json:"before"`          // null: not known or not to be seen
}

// ParseConfigChanges reads key=value pairs, or keys for ConfigUnset. The error is a UsageError.
func ParseConfigChanges(op ConfigOp, args []string) ([]ConfigChange, error) {
	var list []ConfigChange
	seen := map[string]bool{}
	for _, arg := range args {
		c := ConfigChange{Name: arg, Op: op}
		if op != ConfigUnset {
			pairs, err := parsePairs("config", []string{arg})
			if err != nil {
				return nil, err
			}
			c.Name, c.Value = pairs[0][0], &pairs[0][1]
		} else if arg == "" || strings.Contains(arg, "=") {
			return nil, usagef("%q is not the name of a property", arg)
		}
		if seen[c.Name] {
			return nil, usagef("property %q is given twice", c.Name)
		}
		seen[c.Name] = true
		list = append(list, c)
	}
	return list, nil
}

// AlterConfigsOptions says what changes of whose configuration.
type AlterConfigsOptions struct {
	Resource ConfigResource
	Changes  []ConfigChange
	DryRun   bool // the broker checks everything and changes nothing
}

// AlteredConfigs is what was changed, or could be.
type AlteredConfigs struct {
	Kind    string         `json:"kind"`
	Name    string         `json:"name"`
	DryRun  bool           `json:"dryRun,omitempty"`
	Changes []ConfigChange `json:"changes"`
}

// WriteTable prints a sentence and a property a line.
func (a *AlteredConfigs) WriteTable(w io.Writer) error {
	verb := "changed"
	if a.DryRun {
		verb = "could be changed:"
	}
	fmt.Fprintf(w, "%s %v\n", verb, ConfigResource{a.Kind, a.Name})
	t := NewTableWriter(w, "KEY", "CHANGE", "VALUE", "BEFORE")
	for _, c := range a.Changes {
		t.Row(c.Name, c.Op, shownValue(c.Value, false), shownValue(c.Before, false))
	}
	return t.Flush()
}

// AlterConfigs changes some properties and leaves the others (IncrementalAlterConfigs, key 44): all of the changes or
// none. To unset what isn't set is no error.
func AlterConfigs(ctx context.Context, t Target, o AlterConfigsOptions) (*AlteredConfigs, error) {
	if len(o.Changes) == 0 {
		return nil, usagef("nothing to change")
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	a := &AlteredConfigs{Kind: o.Resource.Kind, Name: o.Resource.Name, DryRun: o.DryRun, Changes: o.Changes}
	if err := noteBefore(ctx, client, o); err != nil {
		return nil, err
	}
	if err := alterConfigs(ctx, client, o.Resource, o.Changes, o.DryRun); err != nil {
		return nil, fmt.Errorf("alter configs of %v: %w", o.Resource, err)
	}
	return a, nil
}

// noteBefore completes the changes with what they replace.
func noteBefore(ctx context.Context, client *kgo.Client, o AlterConfigsOptions) error {
	found, err := fetchConfigs(ctx, client, []ConfigResource{o.Resource}, false)
	if err != nil {
		return err
	}
	entries := map[string]*configEntry{}
	for i := range found[o.Resource] {
		e := &found[o.Resource][i]
		entries[e.Name] = e
	}
	for i := range o.Changes {
		c := &o.Changes[i]
		e := entries[c.Name]
		if e != nil {
			c.Before = e.Value
		}
		// Of all brokers together only what is set is described.
		if e == nil && c.Op == ConfigUnset && o.Resource.Name != "" {
			return fmt.Errorf("unset config of %v: there is no property %q", o.Resource, c.Name)
		}
	}
	return nil
}

func alterConfigs(ctx context.Context, client *kgo.Client, r ConfigResource, changes []ConfigChange, dryRun bool) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dryRun
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = r.kmsgType(), r.Name
	for _, c := range changes {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Op, config.Value = c.Name, configOps[c.Op], c.Value
		resource.Configs = append(resource.Configs, config)
	}
	req.Resources = append(req.Resources, resource)
	answered := false
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return shard.Err
		}
		for _, answer := range shard.Resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			if err := kafkaError(answer.ErrorCode, answer.ErrorMessage); err != nil {
				return err
			}
			answered = true
		}
	}
	if !answered {
		return errors.New("the broker answered nothing")
	}
	return nil
}
