package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// PartitionInfo is one partition with all that the cluster tells of it. Nil is what nobody told.
type PartitionInfo struct {
	Topic       string        `json:"topic"`
	Partition   int32         `json:"partition"`
	Leader      int32         `json:"leader"` // -1: none
	LeaderEpoch int32         `json:"leaderEpoch"`
	Replicas    []int32       `json:"replicas"`
	ISR         []int32       `json:"isr"`
	ELR         []int32       `json:"elr,omitempty"` // eligible leader replicas (KIP-966)
	LastELR     []int32       `json:"lastKnownElr,omitempty"`
	Offline     []int32       `json:"offlineReplicas,omitempty"`
	Start       *int64        `json:"start"`  // log start offset
	Stable      *int64        `json:"stable"` // last stable offset
	End         *int64        `json:"end"`    // high watermark
	Size        *int64        `json:"size"`   // bytes on the leader's disk
	Dirs        []PartitionIn `json:"dirs,omitempty"`
	Error       string        `json:"error,omitempty"`
}

// PartitionIn is a replica's directory.
type PartitionIn struct {
	Broker int32  `json:"broker"`
	Dir    string `json:"dir"`
	Size   int64  `json:"size"` // bytes
	Lag    int64  `json:"lag"`  // records behind the high watermark
	Future bool   `json:"future,omitempty"`
}

// PartitionList is sorted by topic and partition.
type PartitionList []PartitionInfo

// WriteTable prints a partition a line.
func (l PartitionList) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END", "SIZE")
	for i := range l {
		p := &l[i]
		cells := []any{
			p.Topic, p.Partition, orNone(p.Leader), joinInts(p.Replicas), orDash(joinInts(p.ISR)),
			offsetCell(p.Start), offsetCell(p.End), offsetCell(p.Size),
		}
		if p.Error != "" {
			cells = append(cells, p.Error)
		}
		t.Row(cells...)
	}
	return t.Flush()
}

// PartitionDetails are partitions printed in full.
type PartitionDetails PartitionList

// WriteTable prints a block of lines for each partition.
func (l PartitionDetails) WriteTable(w io.Writer) error {
	return writeTables(w, l, (*PartitionInfo).writeDetails)
}

func (p *PartitionInfo) writeDetails(w io.Writer) error {
	t := NewTableWriter(w)
	t.Row("partition", fmt.Sprintf("%s:%d", p.Topic, p.Partition))
	t.Row("leader", orNone(p.Leader))
	t.Row("leader epoch", orNone(p.LeaderEpoch))
	t.Row("replicas", joinInts(p.Replicas))
	t.Row("isr", orDash(joinInts(p.ISR)))
	t.Row("elr", orDash(joinInts(p.ELR)))
	t.Row("last known elr", orDash(joinInts(p.LastELR)))
	t.Row("offline", orDash(joinInts(p.Offline)))
	t.Row("start", offsetCell(p.Start))
	t.Row("last stable offset", offsetCell(p.Stable))
	t.Row("high watermark", offsetCell(p.End))
	for _, d := range p.Dirs {
		future := ""
		if d.Future {
			future = ", moving here"
		}
		t.Row(fmt.Sprintf("on broker %d", d.Broker), fmt.Sprintf("%d bytes in %s, lag %d%s", d.Size, d.Dir, d.Lag, future))
	}
	if p.Error != "" {
		t.Row("error", p.Error)
	}
	return t.Flush()
}

// DescribePartitions shows partitions, of all topics that are not internal if none is selected (Metadata,
// DescribeTopicPartitions, ListOffsets, DescribeLogDirs). Those that were found are returned even if the error, which joins
// those of the others, is not nil.
func DescribePartitions(ctx context.Context, t Target, selections []PartitionSelection) (PartitionList, error) {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	client, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	names := make([]string, len(selections))
	for i, s := range selections {
		names[i] = s.Topic
	}
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe partitions: %w", err)
	}
	if len(selections) == 0 {
		details.FilterInternal()
		for _, name := range details.Names() {
			selections = append(selections, PartitionSelection{Topic: name})
		}
	}
	partitions, missing := partitionsOf(ctx, admin, selections)
	list := make(PartitionList, 0, len(partitions))
	for _, p := range partitions {
		list = append(list, partitionInfo(p, details[p.topic].Partitions[p.partition]))
	}
	list.addOffsets(ctx, admin, partitions)
	list.addSizes(ctx, admin, partitions)
	if servesKey(ctx, admin, describeTopicPartitionsKey) {
		list.addELR(ctx, client, topicsOf(partitions))
	}
	if missing != nil {
		missing = prefixed("describe partitions", missing)
	}
	return list, missing
}

const describeTopicPartitionsKey = 75

func partitionInfo(p topicPartition, d kadm.PartitionDetail) PartitionInfo {
	info := PartitionInfo{
		Topic: p.topic, Partition: p.partition, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch,
		Replicas: d.Replicas, ISR: d.ISR, Offline: d.OfflineReplicas,
	}
	info.note(d.Err)
	return info
}

// note keeps the first error of a partition.
func (p *PartitionInfo) note(err error) {
	if err != nil && p.Error == "" {
		p.Error = oneLine(err.Error())
	}
}

func (l PartitionList) addOffsets(ctx context.Context, admin *kadm.Client, partitions []topicPartition) {
	if len(partitions) == 0 {
		return
	}
	topics := topicsOf(partitions)
	for _, ask := range []struct {
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		to   func(*PartitionInfo) **int64
	}{
		{admin.ListStartOffsets, func(p *PartitionInfo) **int64 { return &p.Start }},
		{admin.ListCommittedOffsets, func(p *PartitionInfo) **int64 { return &p.Stable }},
		{admin.ListEndOffsets, func(p *PartitionInfo) **int64 { return &p.End }},
	} {
		listed, _ := ask.list(ctx, topics...) // what failed is missing, which listedOffset says of each partition
		for i, p := range partitions {
			offset, err := listedOffset(listed, p)
			*ask.to(&l[i]) = offset
			l[i].note(err)
		}
	}
}

// addSizes asks every broker; one that does not answer, or may not be asked, leaves its replicas out.
func (l PartitionList) addSizes(ctx context.Context, admin *kadm.Client, partitions []topicPartition) {
	if len(partitions) == 0 {
		return
	}
	all, _ := admin.DescribeAllLogDirs(ctx, topicsSet(partitions))
	index := map[topicPartition]*PartitionInfo{}
	for i, p := range partitions {
		index[p] = &l[i]
	}
	all.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			info := index[topicPartition{p.Topic, p.Partition}]
			if info == nil {
				return
			}
			info.Dirs = append(info.Dirs, PartitionIn{d.Broker, d.Dir, p.Size, p.OffsetLag, p.IsFuture})
			if d.Broker == info.Leader && !p.IsFuture {
				info.Size = &p.Size
			}
		})
	})
	for i := range l {
		slices.SortFunc(l[i].Dirs, func(a, b PartitionIn) int {
			return cmp.Or(cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.Dir, b.Dir))
		})
	}
}

// addELR asks page by page (DescribeTopicPartitions, key 75), which alone tells of eligible leader replicas.
func (l PartitionList) addELR(ctx context.Context, client kmsg.Requestor, topics []string) {
	index := map[topicPartition]*PartitionInfo{}
	for i := range l {
		index[topicPartition{l[i].Topic, l[i].Partition}] = &l[i]
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2000
	for _, name := range topics {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	// A page holds at least one partition, so there are no more pages than partitions.
	for range len(l) + 1 {
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if info := index[topicPartition{value(t.Topic), p.Partition}]; info != nil {
					info.ELR, info.LastELR = p.EligibleLeaderReplicas, p.LastKnownELR
				}
			}
		}
		if resp.NextCursor == nil {
			return
		}
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &cursor
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// errNoPartitions is for commands that don't mean all when they are told nothing.
var errNoPartitions = errors.New("name topics, or partitions as TOPIC:PARTITION")
