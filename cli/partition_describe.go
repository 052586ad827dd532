package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// PartitionInfo is one partition with all that the cluster tells of it. Nil is what nobody told.
type PartitionInfo struct {
	Topic       string         `json:"topic"`
	Partition   int32          `json:"partition"`
	Leader      int32          `json:"leader"` // -1: none
	LeaderEpoch int32          `json:"leaderEpoch"`
	Replicas    []int32        `json:"replicas"`
	ISR         []int32        `json:"isr"`
	ELR         []int32        `json:"elr,omitempty"` // eligible leader replicas (KIP-966)
	LastELR     []int32        `json:"lastKnownElr,omitempty"`
	Offline     []int32        `json:"offlineReplicas,omitempty"`
	Start       *int64         `json:"start"`  // log start offset
	Stable      *int64         `json:"stable"` // last stable offset
	End         *int64         `json:"end"`    // high watermark
	Size        *int64         `json:"size"`   // bytes on the leader's disk
	States      []ReplicaState `json:"replicaStates,omitempty"`
	Error       string         `json:"error,omitempty"`
}

// ReplicaState is how a replica stands. One that is moving to another directory stands there twice; what its broker alone knows
// is nil where that gave no answer, and the ends also on Apache Kafka.
type ReplicaState struct {
	Broker   int32  `json:"broker"`
	Leader   bool   `json:"leader"`
	InSync   bool   `json:"inSync"`
	Eligible bool   `json:"eligible"` // not in sync, but may lead without loss (KIP-966)
	Offline  bool   `json:"offline"`
	Dir      string `json:"dir,omitempty"`
	Size     *int64 `json:"size"` // bytes
	// Lag is what the replica lacks, in records: of what the leader has written or, where that is not told, of what is below the
	// high watermark that the replica knows of.
	Lag     *int64 `json:"lag"`
	Written *int64 `json:"written"` // end of its log
	Flushed *int64 `json:"flushed"` // end of what a power cut would leave of it
	Future  bool   `json:"future,omitempty"`
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
	if p.Error != "" {
		t.Row("error", p.Error)
	}
	if err := t.Flush(); err != nil || len(p.States) == 0 {
		return err
	}
	t = NewTableWriter(w, "REPLICA", "STATE", "LAG", "WRITTEN", "FLUSHED", "SIZE", "DIRECTORY")
	for i := range p.States {
		r := &p.States[i]
		t.Row(r.Broker, r.state(), orMinus(r.Lag), orMinus(r.Written), orMinus(r.Flushed), orMinus(r.Size), orDash(r.Dir))
	}
	return t.Flush()
}

// state is what a replica is, in words.
func (r *ReplicaState) state() string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{
		{r.Leader, "leader"}, {r.InSync, "in sync"}, {!r.InSync && !r.Eligible, "not in sync"},
		{r.Eligible, "eligible"}, {r.Offline, "offline"}, {r.Future, "moving here"},
	} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ", ")
}

// DescribePartitions shows partitions, of all topics that are not internal if none is selected (Metadata,
// DescribeTopicPartitions, ListOffsets, DescribeLogDirs). Those that were found are returned even if the error, which joins
// those of the others, is not nil.
func DescribePartitions(ctx context.Context, t Target, selections []PartitionSelection) (PartitionList, error) {
	admin, client, done, err := t.adminClient(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
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
	if servesKey(ctx, admin, describeTopicPartitionsKey) {
		list.addELR(ctx, client, topicsOf(partitions))
	}
	list.addStates(ctx, client, partitions)
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

// addStates asks the brokers that have replicas; one that does not answer, or may not be asked, leaves the sizes and ends of its
// replicas out.
func (l PartitionList) addStates(ctx context.Context, client *kgo.Client, partitions []topicPartition) {
	var brokers []int32
	for i := range l {
		for _, id := range l[i].Replicas {
			if !slices.Contains(brokers, id) && !slices.Contains(l[i].Offline, id) {
				brokers = append(brokers, id)
			}
		}
	}
	held, _ := heldBy(ctx, client, brokers, partitions)
	of := map[topicPartition][]heldReplica{}
	for _, r := range held {
		of[r.topicPartition] = append(of[r.topicPartition], r)
	}
	for i, p := range partitions {
		l[i].addReplicas(of[p])
	}
}

// addReplicas puts together what the cluster and the replicas' brokers told.
func (p *PartitionInfo) addReplicas(held []heldReplica) {
	var end *int64
	for i := range held {
		if held[i].broker == p.Leader && !held[i].future {
			p.Size, end = &held[i].size, held[i].written
		}
	}
	for _, id := range p.Replicas {
		s := ReplicaState{
			Broker: id, Leader: id == p.Leader, InSync: slices.Contains(p.ISR, id),
			Eligible: slices.Contains(p.ELR, id), Offline: slices.Contains(p.Offline, id),
		}
		known := len(p.States)
		for _, r := range held {
			if r.broker != id {
				continue
			}
			s.Dir, s.Size, s.Lag, s.Future = r.dir, &r.size, &r.lag, r.future
			s.Written, s.Flushed = r.written, r.flushed
			if end != nil && r.written != nil {
				behind := max(0, *end-*r.written)
				s.Lag = &behind
			}
			p.States = append(p.States, s)
		}
		if len(p.States) == known {
			p.States = append(p.States, s)
		}
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
