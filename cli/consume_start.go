package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// startKind says what the number of a Start counts from.
type startKind int

const (
	fromEarliest startKind = iota
	fromLatest
	fromOffset
	fromEnd // N records before the end of each partition
	fromTime
)

// Start is where consume begins in each partition.
type Start struct {
	kind   startKind
	offset int64
	time   time.Time
}

// ParseStart reads --offset: earliest (beginning), latest (end), an offset, or -N for N before the end. The error is a
// UsageError.
func ParseStart(s string) (Start, error) {
	switch s {
	case "earliest", "beginning":
		return Start{kind: fromEarliest}, nil
	case "latest", "end":
		return Start{kind: fromLatest}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return Start{}, usagef("offset %q is none of earliest, latest, N, -N", s)
	}
	if strings.HasPrefix(s, "-") {
		return Start{kind: fromEnd, offset: -n}, nil
	}
	return Start{kind: fromOffset, offset: n}, nil
}

// StartAtTime reads --timestamp or --since: the first record at or after it. The error is a UsageError.
func StartAtTime(s string, now time.Time) (Start, error) {
	t, err := parseTime(s, now)
	if err != nil {
		return Start{}, &UsageError{err}
	}
	return Start{kind: fromTime, time: t}, nil
}

// ParsePartitions reads lists as "0,3-5"; empty means all. The error is a UsageError.
func ParsePartitions(lists []string) ([]int32, error) {
	var all []int32
	for _, part := range strings.Split(strings.Join(lists, ","), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		low, high, ranged := strings.Cut(part, "-")
		first, err := strconv.ParseInt(low, 10, 32)
		last := first
		if err == nil && ranged {
			last, err = strconv.ParseInt(high, 10, 32)
		}
		if err != nil || first < 0 || last < first || last-first >= 1<<20 {
			return nil, usagef("partition %q is neither a number nor a range as 0-3", part)
		}
		for p := first; p <= last; p++ {
			all = append(all, int32(p))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// span is what consume reads of one partition: from start up to, not including, end.
type span struct{ start, end int64 }

// resolve asks the leaders where each partition starts and ends and turns o's start into offsets.
func resolve(ctx context.Context, admin *kadm.Client, o ConsumeOptions) (map[int32]span, error) {
	starts, err := admin.ListStartOffsets(ctx, o.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", o.Topic, err)
	}
	list := admin.ListEndOffsets
	if o.ReadCommitted {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(ctx, o.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", o.Topic, err)
	}
	var times kadm.ListedOffsets
	if o.Start.kind == fromTime {
		if times, err = admin.ListOffsetsAfterMilli(ctx, o.Start.time.UnixMilli(), o.Topic); err == nil {
			err = times.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("consume %s: find %s: %w", o.Topic, o.Start.time.Format(time.RFC3339), err)
		}
	}
	return spans(o, starts, ends, times)
}

func spans(o ConsumeOptions, starts, ends, times kadm.ListedOffsets) (map[int32]span, error) {
	partitions := o.Partitions
	if len(partitions) == 0 {
		for p := range starts[o.Topic] {
			partitions = append(partitions, p)
		}
	}
	all := make(map[int32]span, len(partitions))
	for _, p := range partitions {
		start, ok := starts.Lookup(o.Topic, p)
		if !ok {
			return nil, fmt.Errorf("topic %s has no partition %d", o.Topic, p)
		}
		end, _ := ends.Lookup(o.Topic, p)
		at, _ := times.Lookup(o.Topic, p)
		s, err := o.Start.in(span{start.Offset, end.Offset}, at.Offset)
		if err != nil {
			return nil, fmt.Errorf("consume %s, partition %d: %w", o.Topic, p, err)
		}
		all[p] = s
	}
	return all, nil
}

// in places s in a partition that holds whole; at is the answer to the search by time.
func (s Start) in(whole span, at int64) (span, error) {
	from := whole.start
	switch s.kind {
	case fromLatest:
		from = whole.end
	case fromEnd:
		from = max(whole.start, whole.end-s.offset)
	case fromTime:
		from = at
	case fromOffset:
		// Kafka's consumers would reset to one end or the other, which is not what was asked for.
		if s.offset < whole.start || s.offset > whole.end {
			return span{}, fmt.Errorf("offset %d is not between its start %d and its end %d", s.offset, whole.start, whole.end)
		}
		from = s.offset
	}
	return span{from, whole.end}, nil
}
