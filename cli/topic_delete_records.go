package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// DeleteRecordsOptions says up to where a topic's records go.
type DeleteRecordsOptions struct {
	Topic   string
	Offsets map[int32]int64 // partition to the new start; -1: all that is there
	Before  time.Time       // records older than this, in all partitions; excludes Offsets
	DryRun  bool
}

// ParseDeleteOffsets reads PARTITION:OFFSET pairs; an offset of -1, or end, is the partition's end. The error is a
// UsageError.
func ParseDeleteOffsets(list []string) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	for _, s := range list {
		p, o, _ := strings.Cut(s, ":")
		partition, err := strconv.ParseInt(p, 10, 32)
		offset := int64(-1)
		if err == nil && o != "end" {
			offset, err = strconv.ParseInt(o, 10, 64)
		}
		if err != nil || partition < 0 || offset < -1 {
			return nil, usagef("%q is not PARTITION:OFFSET", s)
		}
		if _, twice := offsets[int32(partition)]; twice {
			return nil, usagef("partition %d is given twice", partition)
		}
		offsets[int32(partition)] = offset
	}
	return offsets, nil
}

// ParseBefore reads --before: milliseconds, a time, or a duration ago. The error is a UsageError.
func ParseBefore(s string, now time.Time) (time.Time, error) {
	t, err := parseTime(s, now)
	if err != nil {
		return t, &UsageError{err}
	}
	return t, nil
}

// DeletedRecords is what went, or would, in each partition.
type DeletedRecords struct {
	Topic      string             `json:"topic"`
	DryRun     bool               `json:"dryRun,omitempty"`
	Partitions []DeletedPartition `json:"partitions"`
}

// DeletedPartition is one partition. Deleted counts offsets, not records: compaction and transactions leave gaps.
type DeletedPartition struct {
	Partition int32  `json:"partition"`
	Before    int64  `json:"startBefore"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Deleted   int64  `json:"deleted"`
	Error     string `json:"error,omitempty"`
}

// WriteTable prints a partition a line.
func (d *DeletedRecords) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "PARTITION", "START-BEFORE", "START", "END", "DELETED")
	for _, p := range d.Partitions {
		cells := []any{p.Partition, p.Before, p.Start, p.End, p.Deleted}
		if p.Error != "" {
			cells = append(cells, p.Error)
		}
		t.Row(cells...)
	}
	return t.Flush()
}

// DeleteRecords moves the start of partitions forwards (DeleteRecords, key 21). What was done is returned even if the
// error, which joins those of all partitions, is not nil.
func DeleteRecords(ctx context.Context, t Target, o DeleteRecordsOptions) (*DeletedRecords, error) {
	if (len(o.Offsets) > 0) != o.Before.IsZero() {
		return nil, usagef("say which records by one of --offset, --before")
	}
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	selection := PartitionSelection{Topic: o.Topic}
	for p := range o.Offsets {
		selection.Partitions = append(selection.Partitions, p)
	}
	partitions, err := partitionsOf(ctx, admin, []PartitionSelection{selection})
	if err != nil {
		return nil, prefixed("delete records", err)
	}
	s := &resetScenario{kind: resetToEarliest}
	if !o.Before.IsZero() {
		s.kind, s.time = resetToTime, o.Before
	}
	ends, err := askLimits(ctx, admin, partitions, s)
	if err != nil {
		return nil, prefixed("delete records of "+o.Topic, err)
	}
	d := &DeletedRecords{Topic: o.Topic, DryRun: o.DryRun, Partitions: []DeletedPartition{}}
	for _, p := range partitions {
		row, err := o.row(p, ends[p])
		if err != nil {
			return nil, err
		}
		d.Partitions = append(d.Partitions, row)
	}
	if o.DryRun {
		return d, nil
	}
	return d, d.execute(ctx, admin)
}

// row plans one partition. An offset behind the end is refused before anything is deleted, as the broker would.
func (o *DeleteRecordsOptions) row(p topicPartition, l limits) (DeletedPartition, error) {
	to := o.Offsets[p.partition]
	switch {
	case !o.Before.IsZero() && l.timeFound:
		to = l.time
	case !o.Before.IsZero() || to == -1:
		to = l.end
	case to > l.end:
		return DeletedPartition{}, fmt.Errorf("delete records of %v: offset %d is behind its end %d", p, to, l.end)
	}
	to = max(to, l.start)
	return DeletedPartition{Partition: p.partition, Before: l.start, Start: to, End: l.end, Deleted: to - l.start}, nil
}

func (d *DeletedRecords) execute(ctx context.Context, admin *kadm.Client) error {
	offsets := kadm.Offsets{}
	for _, p := range d.Partitions {
		if p.Deleted > 0 {
			offsets.Add(kadm.Offset{Topic: d.Topic, Partition: p.Partition, At: p.Start, LeaderEpoch: -1})
		}
	}
	answers, err := admin.DeleteRecords(ctx, offsets)
	err = shardError(err)
	var errs []error
	for i := range d.Partitions {
		p := &d.Partitions[i]
		if p.Deleted == 0 {
			continue
		}
		a, ok := answers[d.Topic][p.Partition]
		failed := a.Err
		if !ok {
			failed = orMissing(err)
		}
		if failed != nil {
			p.Start, p.Deleted, p.Error = p.Before, 0, oneLine(failed.Error())
			errs = append(errs, fmt.Errorf("delete records of %s:%d: %w", d.Topic, p.Partition, failed))
			continue
		}
		p.Start, p.Deleted = a.LowWatermark, a.LowWatermark-p.Before
	}
	return errors.Join(errs...)
}
