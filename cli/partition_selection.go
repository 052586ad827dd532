package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// PartitionSelection is a topic or some of its partitions, written orders or orders:0,3-5.
type PartitionSelection struct {
	Topic      string
	Partitions []int32 // sorted; empty: all
}

// ParseSelections reads what commands take as TOPIC[:PARTITIONS]. The error is a UsageError.
func ParseSelections(list []string) ([]PartitionSelection, error) {
	all := make([]PartitionSelection, 0, len(list))
	for _, s := range list {
		topic, partitions, some := strings.Cut(s, ":")
		selection := PartitionSelection{Topic: topic}
		var err error
		if some {
			selection.Partitions, err = ParsePartitions([]string{partitions})
		}
		if err != nil {
			return nil, err
		}
		if topic == "" || some && len(selection.Partitions) == 0 {
			return nil, usagef("%q is not TOPIC or TOPIC:PARTITION,PARTITION", s)
		}
		all = append(all, selection)
	}
	return all, nil
}

func (p topicPartition) String() string { return fmt.Sprintf("%s:%d", p.topic, p.partition) }

func comparePartitions(a, b topicPartition) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// sortedKeys are the partitions of a map in the order of every list.
func sortedKeys[V any](m map[topicPartition]V) []topicPartition {
	keys := make([]topicPartition, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, comparePartitions)
	return keys
}

// partitionsOf finds what is selected in the cluster's metadata, sorted, each partition once. What could be found is
// returned even if the error, which joins those of what is not there, is not nil.
func partitionsOf(ctx context.Context, admin *kadm.Client, selections []PartitionSelection) ([]topicPartition, error) {
	if len(selections) == 0 {
		return nil, nil
	}
	names := make([]string, len(selections))
	for i, s := range selections {
		names[i] = s.Topic
	}
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	var found []topicPartition
	var errs []error
	for _, s := range selections {
		d := details[s.Topic]
		if d.Err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", s.Topic, d.Err))
			continue
		}
		some, err := s.in(d)
		found, errs = append(found, some...), append(errs, err)
	}
	slices.SortFunc(found, comparePartitions)
	return slices.Compact(found), errors.Join(errs...)
}

func (s PartitionSelection) in(d kadm.TopicDetail) ([]topicPartition, error) {
	var found []topicPartition
	if len(s.Partitions) == 0 {
		for _, p := range d.Partitions.Numbers() {
			found = append(found, topicPartition{s.Topic, p})
		}
		return found, nil
	}
	var errs []error
	for _, p := range s.Partitions {
		if _, ok := d.Partitions[p]; !ok {
			errs = append(errs, fmt.Errorf("topic %s has no partition %d", s.Topic, p))
			continue
		}
		found = append(found, topicPartition{s.Topic, p})
	}
	return found, errors.Join(errs...)
}

// topicsOf are the topics of partitions, each once.
func topicsOf(partitions []topicPartition) []string {
	var topics []string
	for _, p := range partitions {
		topics = append(topics, p.topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// topicsSet is the form kadm takes.
func topicsSet(partitions []topicPartition) kadm.TopicsSet {
	set := kadm.TopicsSet{}
	for _, p := range partitions {
		set.Add(p.topic, p.partition)
	}
	return set
}

// listedOffset is what one ListOffsets said of one partition; nil if it said nothing usable.
func listedOffset(listed kadm.ListedOffsets, p topicPartition) (*int64, error) {
	o, ok := listed.Lookup(p.topic, p.partition)
	switch {
	case !ok:
		o, ok = listed.Lookup(p.topic, -1) // how kadm reports a topic that is not there
		if ok && o.Err != nil {
			return nil, o.Err
		}
		return nil, errors.New("its leader did not answer")
	case o.Err != nil:
		return nil, o.Err
	}
	return &o.Offset, nil
}
