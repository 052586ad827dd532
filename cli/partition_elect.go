package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ElectionTypes are how a leader is chosen: the first replica if it is in sync, or, where no leader is left, any replica
// that lives, whatever it lacks.
var ElectionTypes = []string{preferredElection, uncleanElection}

const (
	preferredElection = "preferred"
	uncleanElection   = "unclean"
)

// UncleanWarning is what to tell people who ask for an unclean election.
const UncleanWarning = "where no replica in sync lives, an unclean election loses the records that the new leader lacks, for good"

// ElectLeadersOptions says of which partitions a leader is elected, and how.
type ElectLeadersOptions struct {
	Partitions []PartitionSelection
	All        bool   // of every partition; excludes Partitions
	Type       string // one of ElectionTypes
	DryRun     bool   // only show what would change
}

// Elections are sorted by topic and partition.
type Elections []Election

// Election is one partition.
type Election struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Leader    int32  `json:"leader"` // before the election; -1: none
	Preferred int32  `json:"preferred"`
	Next      int32  `json:"next"`   // who leads then, as far as can be told before; -1: nobody
	Result    string `json:"result"` // elected, not needed, the error, or (only with DryRun) needed or why it would fail
}

// Results of elections beside errors. What begins with needed, or would fail, is what a dry run finds.
const (
	elected     = "elected"
	notNeeded   = "not needed"
	needed      = "needed"
	lossy       = "needed, may lose records: no replica that is in sync lives"
	notInSync   = "would fail: the preferred replica is not in sync"
	notAlive    = "would fail: the preferred replica does not live"
	nobodyLives = "would fail: no replica that may lead lives"
)

// WriteTable prints a partition a line.
func (l Elections) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "TOPIC", "PARTITION", "LEADER-BEFORE", "PREFERRED", "NEXT", "RESULT")
	for _, e := range l {
		t.Row(e.Topic, e.Partition, orNone(e.Leader), orNone(e.Preferred), orNone(e.Next), e.Result)
	}
	return t.Flush()
}

// ElectLeaders has leaders elected (ElectLeaders, key 43). The result is returned even if the error, which joins those of
// all partitions, is not nil; that an election is not needed is none.
func ElectLeaders(ctx context.Context, t Target, o ElectLeadersOptions) (Elections, error) {
	if o.All == (len(o.Partitions) > 0) {
		return nil, &UsageError{fmt.Errorf("%w, or all of them by --all", errNoPartitions)}
	}
	if !slices.Contains(ElectionTypes, o.Type) {
		return nil, unknownName("election type", o.Type, ElectionTypes)
	}
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	details, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("elect leaders: %w", err)
	}
	if o.All {
		for _, name := range details.Names() {
			o.Partitions = append(o.Partitions, PartitionSelection{Topic: name})
		}
	}
	partitions, missing := partitionsOf(ctx, admin, o.Partitions)
	if missing != nil {
		return nil, prefixed("elect leaders", missing)
	}
	list := make(Elections, 0, len(partitions))
	for _, p := range partitions {
		list = append(list, o.plan(p, details[p.topic].Partitions[p.partition]))
	}
	if o.DryRun {
		return list, nil
	}
	return o.elect(ctx, admin, partitions, list)
}

// plan tells what an election would come to, by the rules that Kafka's controller and StreamBus's share.
func (o *ElectLeadersOptions) plan(p topicPartition, d kadm.PartitionDetail) Election {
	e := Election{Topic: p.topic, Partition: p.partition, Leader: d.Leader, Preferred: -1, Next: d.Leader, Result: notNeeded}
	var alive, inSync []int32
	for _, r := range d.Replicas {
		if !slices.Contains(d.OfflineReplicas, r) {
			alive = append(alive, r)
			if slices.Contains(d.ISR, r) {
				inSync = append(inSync, r)
			}
		}
	}
	if len(d.Replicas) > 0 {
		e.Preferred = d.Replicas[0]
	}
	switch {
	case d.Leader >= 0 && (o.Type == uncleanElection || d.Leader == e.Preferred):
	case slices.Contains(inSync, e.Preferred):
		e.Next, e.Result = e.Preferred, needed
	case d.Leader >= 0 && slices.Contains(alive, e.Preferred):
		e.Result = notInSync
	case d.Leader >= 0:
		e.Result = notAlive
	case len(inSync) > 0:
		e.Next, e.Result = inSync[0], needed
	case len(alive) > 0 && o.Type == uncleanElection:
		e.Next, e.Result = alive[0], lossy
	default:
		e.Result = nobodyLives
	}
	return e
}

func (o *ElectLeadersOptions) elect(ctx context.Context, admin *kadm.Client, partitions []topicPartition, list Elections) (Elections, error) {
	how := kadm.ElectPreferredReplica
	if o.Type == uncleanElection {
		how = kadm.ElectLiveReplica
	}
	answers, err := admin.ElectLeaders(ctx, how, topicsSet(partitions))
	if err != nil {
		return nil, fmt.Errorf("elect leaders: %w", err)
	}
	var errs []error
	for i, p := range partitions {
		a, ok := answers[p.topic][p.partition]
		switch {
		case !ok && o.All, errors.Is(a.Err, kerr.ElectionNotNeeded):
			list[i].Next, list[i].Result = list[i].Leader, notNeeded
		case !ok:
			a.Err = orMissing(nil)
		case a.Err == nil:
			list[i].Result = elected
		}
		if a.Err != nil && !errors.Is(a.Err, kerr.ElectionNotNeeded) {
			list[i].Next, list[i].Result = list[i].Leader, oneLine(a.Err.Error())
			errs = append(errs, fmt.Errorf("elect leader of %v: %w", p, a.Err))
		}
	}
	return list, errors.Join(errs...)
}
