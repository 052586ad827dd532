package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicDescription is one topic with its partitions.
type TopicDescription struct {
	Name              string                 `json:"name"`
	ID                string                 `json:"id,omitempty"`
	Internal          bool                   `json:"internal"`
	ReplicationFactor int                    `json:"replicationFactor"`
	Partitions        []PartitionDescription `json:"partitions"`
	Configs           map[string]string      `json:"configs,omitempty"` // set on the topic itself; nil if the broker doesn't serve DescribeConfigs
}

// PartitionDescription is one partition. Start and End are its log start offset and its high watermark; nil if its
// leader does not say.
type PartitionDescription struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"` // -1: none
	LeaderEpoch int32   `json:"leaderEpoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Offline     []int32 `json:"offlineReplicas,omitempty"`
	Start       *int64  `json:"start"`
	End         *int64  `json:"end"`
	Error       string  `json:"error,omitempty"`
}

// TopicDescriptions are in the order asked for, or by name.
type TopicDescriptions []TopicDescription

// WriteTable prints a line about each topic and a table of its partitions.
func (l TopicDescriptions) WriteTable(w io.Writer) error {
	return writeTables(w, l, (*TopicDescription).writeTable)
}

func (d *TopicDescription) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "topic %s", d.Name)
	if d.ID != "" {
		fmt.Fprintf(w, "  id %s", d.ID)
	}
	fmt.Fprintf(w, "  partitions %d  replication %d", len(d.Partitions), d.ReplicationFactor)
	if d.Internal {
		fmt.Fprint(w, "  internal")
	}
	fmt.Fprintln(w)
	if len(d.Configs) > 0 {
		fmt.Fprintf(w, "configs %s\n", joinConfigs(d.Configs))
	}
	t := NewTableWriter(w, "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END")
	for _, p := range d.Partitions {
		t.Row(p.cells()...)
	}
	return t.Flush()
}

func (p *PartitionDescription) cells() []any {
	cells := []any{
		p.Partition, orNone(p.Leader), orNone(p.LeaderEpoch), joinInts(p.Replicas), joinInts(p.ISR),
		offsetCell(p.Start), offsetCell(p.End),
	}
	if p.Error != "" {
		cells = append(cells, p.Error)
	}
	return cells
}

func joinConfigs(configs map[string]string) string {
	parts := make([]string, 0, len(configs))
	for k, v := range configs {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func orNone(v int32) string {
	if v < 0 {
		return "none"
	}
	return strconv.Itoa(int(v))
}

func offsetCell(v *int64) string {
	if v == nil {
		return "?"
	}
	return strconv.FormatInt(*v, 10)
}

// DescribeTopics describes the named topics, or all that are not internal. Topics that could be described are returned
// even if the error, which joins those of the others, is not nil.
func DescribeTopics(ctx context.Context, t Target, names []string) (TopicDescriptions, error) {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	if len(names) == 0 {
		details.FilterInternal()
		names = details.Names()
	}
	list := TopicDescriptions{}
	var errs []error
	for _, name := range names {
		d := details[name]
		if d.Err != nil {
			errs = append(errs, fmt.Errorf("describe topic %s: %w", name, d.Err))
			continue
		}
		list = append(list, describeTopic(d))
	}
	addOffsets(ctx, admin, list)
	addConfigs(ctx, admin, list)
	return list, errors.Join(errs...)
}

func describeTopic(d kadm.TopicDetail) TopicDescription {
	t := TopicDescription{Name: d.Topic, ID: optionalID(d.ID), Internal: d.IsInternal, ReplicationFactor: d.Partitions.NumReplicas()}
	for _, p := range d.Partitions.Sorted() {
		row := PartitionDescription{
			Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
			Replicas: p.Replicas, ISR: p.ISR, Offline: p.OfflineReplicas,
		}
		if p.Err != nil {
			row.Error = p.Err.Error()
		}
		t.Partitions = append(t.Partitions, row)
	}
	return t
}

// addOffsets asks the leaders; a leader that does not answer leaves its partitions without offsets and with the error.
func addOffsets(ctx context.Context, admin *kadm.Client, list TopicDescriptions) {
	if len(list) == 0 {
		return
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	starts, startErr := admin.ListStartOffsets(ctx, names...)
	ends, endErr := admin.ListEndOffsets(ctx, names...)
	for i := range list {
		for j := range list[i].Partitions {
			p := &list[i].Partitions[j]
			p.Start = p.offset(starts, list[i].Name, startErr)
			p.End = p.offset(ends, list[i].Name, endErr)
		}
	}
}

func (p *PartitionDescription) offset(listed kadm.ListedOffsets, topic string, err error) *int64 {
	o, ok := listed.Lookup(topic, p.Partition)
	if ok && o.Err == nil {
		return &o.Offset
	}
	if ok {
		err = o.Err
	}
	if p.Error == "" && err != nil {
		p.Error = err.Error()
	}
	return nil
}

// addConfigs fills in what is set on the topics themselves, where the cluster serves DescribeConfigs; the description
// is worth having without it.
func addConfigs(ctx context.Context, admin *kadm.Client, list TopicDescriptions) {
	if len(list) == 0 || !servesKey(ctx, admin, describeConfigsKey) {
		return
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	resources, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return
	}
	for i := range list {
		r, err := resources.On(list[i].Name, nil)
		if err != nil || r.Err != nil {
			continue
		}
		list[i].Configs = map[string]string{}
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				list[i].Configs[c.Key] = c.MaybeValue()
			}
		}
	}
}

func servesKey(ctx context.Context, admin *kadm.Client, key int16) bool {
	versions, err := admin.ApiVersions(ctx)
	if err != nil {
		return false
	}
	for _, v := range versions {
		if _, ok := v.KeyMaxVersion(key); ok && v.Err == nil {
			return true
		}
	}
	return false
}

const describeConfigsKey = 32
