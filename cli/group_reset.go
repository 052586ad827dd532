package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ResetOffsetsOptions says whose offsets of what are moved where.
type ResetOffsetsOptions struct {
	Groups    []string
	AllGroups bool // every classic and consumer group; excludes Groups
	Topics    []PartitionSelection
	AllTopics bool // what each group has committed; excludes Topics
	To        ResetTo
	Execute   bool // commit; otherwise the plan is all
}

// OffsetReset is a plan, or what was done. Offsets are sorted by group, topic and partition.
type OffsetReset struct {
	Executed bool          `json:"executed"`
	Offsets  []ResetOffset `json:"offsets"`

	oneGroup bool
}

// ResetOffset is one partition's new offset.
type ResetOffset struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    *int64 `json:"before"` // null: nothing was committed
	Offset    int64  `json:"offset"`
	Warning   string `json:"warning,omitempty"` // why it isn't the offset that was asked for
}

// WriteTable prints a partition a line.
func (r *OffsetReset) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "GROUP", "TOPIC", "PARTITION", "BEFORE", "NEW-OFFSET")
	for _, o := range r.Offsets {
		t.Row(o.Group, o.Topic, o.Partition, orMinus(o.Before), o.Offset)
	}
	return t.Flush()
}

// Warnings are those of all partitions.
func (r *OffsetReset) Warnings() []string {
	var list []string
	for _, o := range r.Offsets {
		if o.Warning != "" {
			list = append(list, fmt.Sprintf("%s:%d: %s", o.Topic, o.Partition, o.Warning))
		}
	}
	return list
}

// ResetOffsets plans new offsets of groups and commits them if it is told to. A group with members is refused, one that
// doesn't exist comes into being, both as in kafka-consumer-groups. What could be planned, or done, is returned even if
// the error, which joins those of all groups, is not nil.
func ResetOffsets(ctx context.Context, t Target, o ResetOffsetsOptions) (*OffsetReset, error) {
	scenario, err := o.check(time.Now())
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
	admin := kadm.NewClient(client)
	groups, listErr := distinct(o.Groups), error(nil)
	if o.AllGroups {
		groups, listErr = describableGroups(ctx, client)
	}
	r := &OffsetReset{Executed: o.Execute, Offsets: []ResetOffset{}, oneGroup: len(groups) == 1 && !o.AllGroups}
	errs := []error{listErr}
	plan := &resetPlan{admin: admin, o: o, scenario: scenario}
	for _, group := range groups {
		rows, err := plan.reset(ctx, group)
		if err != nil {
			errs = append(errs, prefixed("reset offsets of group "+group, err))
		}
		r.Offsets = append(r.Offsets, rows...)
	}
	if err = errors.Join(errs...); err != nil && len(r.Offsets) == 0 {
		return nil, err
	}
	slices.SortFunc(r.Offsets, func(a, b ResetOffset) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return r, err
}

// prefixed puts what was attempted before each of the errors joined in err.
func prefixed(what string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, prefixed(what, e))
	}
	return errors.Join(list...)
}

func (o *ResetOffsetsOptions) check(now time.Time) (resetScenario, error) {
	if o.AllGroups == (len(o.Groups) > 0) {
		return resetScenario{}, usagef("name the groups, or all of them by --all-groups")
	}
	s, err := o.To.scenario(now, len(distinct(o.Groups)) == 1, o.Groups)
	if err != nil {
		return s, err
	}
	scopes := 0
	if o.AllTopics {
		scopes++
	}
	if len(o.Topics) > 0 {
		scopes++
	}
	switch {
	case s.kind == resetToFile && scopes > 0:
		return s, usagef("--from-file says which partitions: leave out --topic and --all-topics")
	case s.kind != resetToFile && scopes != 1:
		return s, usagef("say which partitions by one of --topic, --all-topics")
	}
	return s, nil
}

// resetPlan is what all groups of a reset share.
type resetPlan struct {
	admin    *kadm.Client
	o        ResetOffsetsOptions
	scenario resetScenario
}

func (p *resetPlan) reset(ctx context.Context, group string) ([]ResetOffset, error) {
	if err := p.inactive(ctx, group); err != nil {
		return nil, err
	}
	fetched := p.admin.FetchManyOffsets(ctx, group)[group]
	if fetched.Err != nil && !groupMissing(fetched.Err) {
		return nil, fetched.Err
	}
	committed := map[topicPartition]kadm.OffsetResponse{}
	fetched.Fetched.Each(func(r kadm.OffsetResponse) {
		if r.At >= 0 {
			committed[topicPartition{r.Topic, r.Partition}] = r
		}
	})
	wanted, err := p.partitions(ctx, group, committed)
	if err != nil {
		return nil, err
	}
	offsets, err := p.scenario.offsets(ctx, p.admin, group, wanted, committed)
	if err != nil || len(offsets) == 0 {
		return nil, err
	}
	rows := make([]ResetOffset, 0, len(offsets))
	for _, tp := range sortedKeys(offsets) {
		row := ResetOffset{Group: group, Topic: tp.topic, Partition: tp.partition, Offset: offsets[tp].offset, Warning: offsets[tp].warning}
		if c, ok := committed[tp]; ok {
			row.Before = &c.At
		}
		rows = append(rows, row)
	}
	if !p.o.Execute {
		return rows, nil
	}
	return p.commit(ctx, group, rows)
}

// inactive refuses groups with members: they would go on from where they are and overwrite the new offsets.
func (p *resetPlan) inactive(ctx context.Context, group string) error {
	list, err := describeGroups(ctx, p.admin, []string{group})
	switch {
	case groupMissing(err):
		return nil
	case err != nil:
		return err
	case list[0].State != "Empty" && list[0].State != "Dead":
		return fmt.Errorf("the group must be inactive, but its state is %s with %d members", list[0].State, list[0].MemberCount)
	}
	return nil
}

// partitions are the scope of the reset, in one group.
func (p *resetPlan) partitions(ctx context.Context, group string, committed map[topicPartition]kadm.OffsetResponse) ([]topicPartition, error) {
	switch {
	case p.o.AllTopics:
		if len(committed) == 0 && !p.o.AllGroups {
			return nil, errors.New("nothing is committed: name topics by --topic")
		}
		return sortedKeys(committed), nil
	case p.scenario.kind == resetToFile:
		rows := p.scenario.file[group]
		if len(rows) == 0 {
			return nil, errors.New("the file has no offsets of this group")
		}
		return sortedKeys(rows), nil
	}
	return partitionsOf(ctx, p.admin, p.o.Topics)
}

// commit writes the new offsets and keeps those rows that the broker took.
func (p *resetPlan) commit(ctx context.Context, group string, rows []ResetOffset) ([]ResetOffset, error) {
	offsets := kadm.Offsets{}
	for _, r := range rows {
		offsets.Add(kadm.Offset{Topic: r.Topic, Partition: r.Partition, At: r.Offset, LeaderEpoch: -1})
	}
	answers, err := p.admin.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return nil, err
	}
	var done []ResetOffset
	var errs []error
	for _, r := range rows {
		a, ok := answers.Lookup(r.Topic, r.Partition)
		err := a.Err
		if !ok {
			err = orMissing(nil)
		}
		if errors.Is(err, kerr.UnknownMemberID) {
			return nil, errors.New("the group has got members meanwhile")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", r.Topic, r.Partition, err))
			continue
		}
		done = append(done, r)
	}
	return done, errors.Join(errs...)
}
