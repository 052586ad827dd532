package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterTopicOptions says what of a topic changes.
type AlterTopicOptions struct {
	Name          string
	Partitions    int32    // the new number of partitions; 0: as it is
	Configs       []string // key=value
	DeleteConfigs []string // keys that get their default back
	DryRun        bool     // the broker checks everything and changes nothing
}

// AlteredTopic is what was changed, or could be.
type AlteredTopic struct {
	Name       string         `json:"name"`
	DryRun     bool           `json:"dryRun,omitempty"`
	Partitions int32          `json:"partitions,omitempty"` // 0: as it was
	Before     int            `json:"partitionsBefore"`
	Configs    []ConfigChange `json:"configs,omitempty"`
}

// WriteTable prints a sentence and a change a line.
func (a *AlteredTopic) WriteTable(w io.Writer) error {
	verb := "changed"
	if a.DryRun {
		verb = "could be changed:"
	}
	fmt.Fprintf(w, "%s topic %s\n", verb, a.Name)
	t := NewTableWriter(w, "KEY", "CHANGE", "VALUE", "BEFORE")
	if a.Partitions > 0 {
		t.Row("partitions", "set", a.Partitions, a.Before)
	}
	for _, c := range a.Configs {
		t.Row(c.Name, c.Op, shownValue(c.Value, false), shownValue(c.Before, false))
	}
	return t.Flush()
}

// AlterTopic adds partitions (CreatePartitions, key 37) and changes properties (IncrementalAlterConfigs, key 44). Both are
// checked by the broker before either is done.
func AlterTopic(ctx context.Context, t Target, o AlterTopicOptions) (*AlteredTopic, error) {
	changes, err := o.changes()
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
	details, err := kadm.NewClient(client).ListTopicsWithInternal(ctx, o.Name)
	if err == nil {
		err = details[o.Name].Err
	}
	if err != nil {
		return nil, fmt.Errorf("alter topic %s: %w", o.Name, err)
	}
	r := ConfigResource{"topic", o.Name}
	a := &AlteredTopic{Name: o.Name, DryRun: o.DryRun, Partitions: o.Partitions, Before: len(details[o.Name].Partitions), Configs: changes}
	if len(changes) > 0 {
		if err := noteBefore(ctx, client, AlterConfigsOptions{Resource: r, Changes: changes}); err != nil {
			return nil, err
		}
	}
	for _, dryRun := range []bool{true, false} {
		if o.DryRun && !dryRun {
			break
		}
		if err := o.apply(ctx, client, t, r, changes, dryRun); err != nil {
			return nil, fmt.Errorf("alter topic %s: %w", o.Name, err)
		}
	}
	return a, nil
}

func (o *AlterTopicOptions) changes() ([]ConfigChange, error) {
	if o.Partitions < 0 {
		return nil, usagef("a topic has at least one partition")
	}
	set, err := ParseConfigChanges(ConfigSet, o.Configs)
	if err != nil {
		return nil, err
	}
	unset, err := ParseConfigChanges(ConfigUnset, o.DeleteConfigs)
	if err != nil {
		return nil, err
	}
	for _, s := range set {
		for _, u := range unset {
			if s.Name == u.Name {
				return nil, usagef("property %q is both set and deleted", s.Name)
			}
		}
	}
	changes := append(set, unset...)
	if o.Partitions == 0 && len(changes) == 0 {
		return nil, usagef("nothing to change: give --partitions, --config or --delete-config")
	}
	return changes, nil
}

func (o *AlterTopicOptions) apply(ctx context.Context, client *kgo.Client, t Target, r ConfigResource, changes []ConfigChange, dryRun bool) error {
	if o.Partitions > 0 {
		if err := o.addPartitions(ctx, client, t, dryRun); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return alterConfigs(ctx, client, r, changes, dryRun)
}

func (o *AlterTopicOptions) addPartitions(ctx context.Context, client *kgo.Client, t Target, dryRun bool) error {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis, req.ValidateOnly = int32(t.timeout().Milliseconds()), dryRun
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = o.Name, o.Partitions
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 {
		return errors.New("the broker did not answer for it")
	}
	return kafkaError(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage)
}
