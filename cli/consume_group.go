package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumeGroupOptions say how to read as a member of a group. Of ConsumeOptions, Topic and Partitions count for nothing,
// and Start is for partitions that the group has committed nothing of: earliest, latest or a time.
type ConsumeGroupOptions struct {
	ConsumeOptions
	Topics     []string
	Group      string
	InstanceID string // makes the member a static one, which doesn't leave the group when it ends
	Assignor   string // one of Assignors; cooperative-sticky if empty
	NoCommit   bool
}

// assignors are Kafka's own names of what kgo calls balancers.
var assignors = map[string]func() kgo.GroupBalancer{
	"range":              kgo.RangeBalancer,
	"roundrobin":         kgo.RoundRobinBalancer,
	"sticky":             kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}

// Assignors are the ways to share partitions out among the members of a group.
var Assignors = []string{"cooperative-sticky", "range", "roundrobin", "sticky"}

// ConsumeGroup prints records to out as a member of a group until the end that o asks for, or until ctx ends, which is no
// error. What was printed is committed every few seconds, before partitions go to another member, and at the end; what
// was not printed never is. UntilEnd is where the partitions that this member has ended when the command started.
func ConsumeGroup(ctx context.Context, t Target, o ConsumeGroupOptions, out io.Writer) (ConsumeSummary, error) {
	m := &membership{o: o, ends: map[topicPartition]int64{}, owned: map[topicPartition]bool{}, next: map[topicPartition]int64{}}
	opts, err := m.clientOptions()
	if err != nil {
		return m.summary, err
	}
	o.ConsumeOptions.topicColumn = len(o.Topics) > 1
	if m.printer, err = newRecordPrinter(o.ConsumeOptions, out); err != nil {
		return m.summary, err
	}
	if err := m.look(ctx, t); err != nil {
		return m.summary, err
	}
	if m.client, err = t.connect(ctx, opts...); err != nil {
		return m.summary, err
	}
	defer m.client.CloseAllowingRebalance()
	err = m.run(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return m.summary, errors.Join(err, m.printer.flush(), m.leave(ctx, t.timeout()))
}

// membership is this process's part in a group.
type membership struct {
	o       ConsumeGroupOptions
	client  *kgo.Client
	printer *recordPrinter
	summary ConsumeSummary
	starts  map[topicPartition]int64
	ends    map[topicPartition]int64 // when the command started; only with UntilEnd
	next    map[topicPartition]int64 // what follows what was read

	mu     sync.Mutex // guards what stands below: kgo calls back from its own goroutine
	joined bool
	owned  map[topicPartition]bool
}

func (m *membership) clientOptions() ([]kgo.Opt, error) {
	name := m.o.Assignor
	if name == "" {
		name = Assignors[0]
	}
	assignor, ok := assignors[name]
	if !ok {
		return nil, unknownName("assignor", name, Assignors)
	}
	if m.o.Group == "" || len(m.o.Topics) == 0 {
		return nil, usagef("a group reads at least one topic and has a name")
	}
	start := kgo.NewOffset()
	switch m.o.Start.kind {
	case fromEarliest:
		start = start.AtStart()
	case fromLatest:
		start = start.AtEnd()
	case fromTime:
		start = start.AfterMilli(m.o.Start.time.UnixMilli())
	default:
		return nil, usagef("a group begins where it has committed, elsewhere at earliest, latest or a time; move what it has committed by group reset-offsets")
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(m.o.Group),
		kgo.ConsumeTopics(m.o.Topics...),
		kgo.ConsumeResetOffset(start),
		kgo.Balancers(assignor()),
		// A rebalance waits until what was polled is printed, so that what goes to another member is committed before.
		kgo.BlockRebalanceOnPoll(),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.assigned(p, true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, p map[string][]int32) {
			if !m.o.NoCommit {
				// A failure means that the next owner reads again what was printed here, as after a crash.
				_ = c.CommitMarkedOffsets(ctx)
			}
			m.assigned(p, false)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.assigned(p, false) }),
	}
	if m.o.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(m.o.InstanceID))
	}
	if m.o.NoCommit {
		opts = append(opts, kgo.DisableAutoCommit())
	} else {
		opts = append(opts, kgo.AutoCommitMarks())
	}
	if m.o.ReadCommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return opts, nil
}

// look finds the topics, so that a wrong name is an error and no endless wait, and their ends.
func (m *membership) look(ctx context.Context, t Target) error {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	selections := make([]PartitionSelection, len(m.o.Topics))
	for i, topic := range m.o.Topics {
		selections[i].Topic = topic
	}
	partitions, err := partitionsOf(ctx, admin, selections)
	if err != nil {
		return prefixed("consume", err)
	}
	if !m.o.UntilEnd {
		return nil
	}
	list := admin.ListEndOffsets
	if m.o.ReadCommitted {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(ctx, m.o.Topics...)
	if err != nil {
		return fmt.Errorf("consume: %w", shardError(err))
	}
	for _, p := range partitions {
		end, err := listedOffset(ends, p)
		if err != nil {
			return fmt.Errorf("consume %v: %w", p, err)
		}
		m.ends[p] = *end
	}
	return m.askStarts(ctx, admin)
}

// askStarts learns where each partition begins for members that have committed nothing: an empty one is read to its end.
func (m *membership) askStarts(ctx context.Context, admin *kadm.Client) error {
	var starts kadm.ListedOffsets
	var err error
	switch m.o.Start.kind {
	case fromLatest:
		m.starts = m.ends
		return nil
	case fromTime:
		starts, err = admin.ListOffsetsAfterMilli(ctx, m.o.Start.time.UnixMilli(), m.o.Topics...)
	default:
		starts, err = admin.ListStartOffsets(ctx, m.o.Topics...)
	}
	if err != nil {
		return fmt.Errorf("consume: %w", shardError(err))
	}
	m.starts = map[topicPartition]int64{}
	for p := range m.ends {
		if start, err := listedOffset(starts, p); err == nil {
			m.starts[p] = *start
		}
	}
	return nil
}

func (m *membership) assigned(partitions map[string][]int32, owned bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joined = m.joined || owned
	for topic, list := range partitions {
		for _, p := range list {
			if owned {
				m.owned[topicPartition{topic, p}] = true
				continue
			}
			delete(m.owned, topicPartition{topic, p})
		}
	}
}

// groupIdle is how long nothing may come before a member looks whether there is nothing left for it.
const groupIdle = 500 * time.Millisecond

func (m *membership) run(ctx context.Context) error {
	for !m.finished() {
		wait, cancel := context.WithTimeout(ctx, groupIdle)
		fetches := m.client.PollFetches(wait)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if err := fatalInGroup(e); err != nil {
				return fmt.Errorf("consume as member of group %s: %w", m.o.Group, err)
			}
		}
		if err := m.take(fetches); err != nil {
			return err
		}
		if err := m.printer.flush(); err != nil {
			return err
		}
		m.client.AllowRebalance()
	}
	return nil
}

// fatalInGroup tells errors that stay from those that kgo gets over by joining again.
func fatalInGroup(e kgo.FetchError) error {
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return nil
	}
	var session *kgo.ErrGroupSession
	if !errors.As(e.Err, &session) {
		return fmt.Errorf("%s, partition %d: %w", e.Topic, e.Partition, e.Err)
	}
	var answer *kerr.Error
	if !errors.As(session.Err, &answer) || answer.Retriable {
		return nil
	}
	switch answer {
	case kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress:
		return nil
	}
	return session.Err
}

func (m *membership) take(fetches kgo.Fetches) error {
	var printed []*kgo.Record
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		p := topicPartition{r.Topic, r.Partition}
		if m.o.UntilEnd && r.Offset >= m.ends[p] {
			m.next[p] = r.Offset
			continue
		}
		if !r.Attrs.IsControl() {
			if m.o.Count > 0 && m.summary.Records == m.o.Count {
				break
			}
			if err := m.printer.print(r); err != nil {
				return err
			}
			m.summary.Records++
			m.summary.Bytes += int64(len(r.Key) + len(r.Value))
		}
		m.next[p] = r.Offset + 1
		printed = append(printed, r)
	}
	if err := m.printer.flush(); err != nil {
		return err
	}
	if !m.o.NoCommit {
		m.client.MarkCommitRecords(printed...)
	}
	return nil
}

// finished says whether all that was asked for is printed.
func (m *membership) finished() bool {
	if m.o.Count > 0 && m.summary.Records >= m.o.Count {
		return true
	}
	if !m.o.UntilEnd || m.client == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.joined {
		return false
	}
	committed := m.client.CommittedOffsets()
	for p := range m.owned {
		next, known := m.next[p]
		if !known {
			next = m.starts[p]
			if c, ok := committed[p.topic][p.partition]; ok && c.Offset >= 0 {
				next = c.Offset
			}
		}
		if next < m.ends[p] {
			return false
		}
	}
	return true
}

// leave commits what was printed and leaves the group, also after an interrupt; a static member stays in it until its
// session ends.
func (m *membership) leave(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	m.client.AllowRebalance()
	if !m.o.NoCommit {
		if err := m.client.CommitMarkedOffsets(ctx); err != nil {
			return fmt.Errorf("commit offsets of group %s: %w", m.o.Group, err)
		}
	}
	if err := m.client.LeaveGroupContext(ctx); err != nil {
		return fmt.Errorf("leave group %s: %w", m.o.Group, err)
	}
	return nil
}
