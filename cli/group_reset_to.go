package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// ResetTo is where offsets are moved, as flags say it: one of its fields is set.
type ResetTo struct {
	Earliest, Latest, Current bool
	Offset, ShiftBy           string // numbers
	Datetime                  string // see parseResetTime
	Duration                  string // see parseISODuration
	File                      string // path of a CSV file, see readResetFile
}

type resetKind int

const (
	resetToEarliest resetKind = iota
	resetToLatest
	resetToCurrent
	resetToOffset
	resetByShift
	resetToTime
	resetToFile
)

// resetScenario is ResetTo read.
type resetScenario struct {
	kind   resetKind
	number int64
	time   time.Time
	file   map[string]map[topicPartition]int64 // by group
}

// scenario reads the one field that is set. The error is a UsageError, but for a file that can't be read.
func (to ResetTo) scenario(now time.Time, oneGroup bool, groups []string) (s resetScenario, err error) {
	count := 0
	is := func(set bool, kind resetKind) bool {
		if set {
			s.kind = kind
			count++
		}
		return set
	}
	is(to.Earliest, resetToEarliest)
	is(to.Latest, resetToLatest)
	is(to.Current, resetToCurrent)
	if is(to.Offset != "", resetToOffset) {
		s.number, err = parseNumber("to-offset", to.Offset)
	}
	if is(to.ShiftBy != "", resetByShift) {
		s.number, err = parseNumber("shift-by", to.ShiftBy)
	}
	if is(to.Datetime != "", resetToTime) {
		s.time, err = parseResetTime(to.Datetime)
	}
	if is(to.Duration != "", resetToTime) {
		var d time.Duration
		d, err = parseISODuration(to.Duration)
		s.time = now.Add(-d)
	}
	if is(to.File != "", resetToFile) && count == 1 {
		group := ""
		if oneGroup {
			group = groups[0]
		}
		s.file, err = openResetFile(to.File, group)
	}
	if count != 1 {
		return s, usagef("say where to by one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime, --by-duration, --from-file")
	}
	return s, err
}

func parseNumber(flag, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, usagef("--%s %q is not a number", flag, s)
	}
	return n, nil
}

// parseResetTime reads milliseconds or a time. Without a zone it is UTC, because that is what Kafka's tool means by it.
func parseResetTime(s string) (time.Time, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%q is neither a time as 2026-01-31T12:00:00.000 nor milliseconds", s)
}

// parseISODuration reads PnDTnHnMnS as java.time.Duration does, and Go's form as 15m. The error is a UsageError.
func parseISODuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	wrong := usagef("duration %q is neither PnDTnHnMnS (P1DT12H, PT15M) nor as 15m", s)
	rest, negative := strings.CutPrefix(strings.ToUpper(s), "-")
	rest, ok := strings.CutPrefix(rest, "P")
	date, clock, timed := strings.Cut(rest, "T")
	if !ok || rest == "" || timed && clock == "" {
		return 0, wrong
	}
	var total time.Duration
	if date != "" {
		days, isDays := strings.CutSuffix(date, "D")
		n, err := strconv.ParseInt(days, 10, 32)
		if !isDays || err != nil || n > 100_000 || n < -100_000 {
			return 0, wrong
		}
		total = time.Duration(n) * 24 * time.Hour
	}
	if clock != "" {
		d, err := time.ParseDuration(strings.ToLower(clock))
		if err != nil || strings.ContainsAny(clock, "NU") || strings.Contains(clock, "MS") {
			return 0, wrong
		}
		total += d
	}
	if negative {
		total = -total
	}
	return total, nil
}

func openResetFile(path, group string) (map[string]map[topicPartition]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plan, err := readResetFile(f, group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

// newOffset is where one partition goes.
type newOffset struct {
	offset  int64
	warning string
}

// offsets turns the scenario into an offset of each of the wanted partitions.
func (s *resetScenario) offsets(
	ctx context.Context, admin *kadm.Client, group string, wanted []topicPartition, committed map[topicPartition]kadm.OffsetResponse,
) (map[topicPartition]newOffset, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	limits, err := askLimits(ctx, admin, wanted, s)
	if err != nil {
		return nil, err
	}
	offsets := map[topicPartition]newOffset{}
	var errs []error
	for _, p := range wanted {
		var c *int64
		if r, ok := committed[p]; ok {
			c = &r.At
		}
		o, err := s.offset(group, p, limits[p], c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", p, err))
			continue
		}
		offsets[p] = o
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return offsets, nil
}

func (s *resetScenario) offset(group string, p topicPartition, l limits, committed *int64) (newOffset, error) {
	switch s.kind {
	case resetToEarliest:
		return newOffset{offset: l.start}, nil
	case resetToLatest:
		return newOffset{offset: l.end}, nil
	case resetToCurrent:
		if committed != nil {
			return newOffset{offset: *committed}, nil
		}
		return newOffset{offset: l.end}, nil
	case resetByShift:
		if committed == nil {
			return newOffset{}, errors.New("nothing is committed that could be shifted")
		}
		return l.clamp(*committed + s.number), nil
	case resetToTime:
		if !l.timeFound {
			return newOffset{l.end, "it has no record at or after this time, its end is taken"}, nil
		}
		return newOffset{offset: l.time}, nil
	case resetToFile:
		return l.clamp(s.file[group][p]), nil
	}
	return l.clamp(s.number), nil
}

// limits are the ends of a partition, and the answer to the search by time.
type limits struct {
	start, end, time int64
	timeFound        bool
}

func (l limits) clamp(offset int64) newOffset {
	switch {
	case offset > l.end:
		return newOffset{l.end, fmt.Sprintf("offset %d is behind its end, %d is taken", offset, l.end)}
	case offset < l.start:
		return newOffset{l.start, fmt.Sprintf("offset %d is before its start, %d is taken", offset, l.start)}
	}
	return newOffset{offset: offset}
}

func askLimits(ctx context.Context, admin *kadm.Client, wanted []topicPartition, s *resetScenario) (map[topicPartition]limits, error) {
	topics := topicsOf(wanted)
	starts, startErr := admin.ListStartOffsets(ctx, topics...)
	ends, endErr := admin.ListEndOffsets(ctx, topics...)
	var times kadm.ListedOffsets
	var timeErr error
	if s.kind == resetToTime {
		times, timeErr = admin.ListOffsetsAfterMilli(ctx, max(s.time.UnixMilli(), 0), topics...)
	}
	all := map[topicPartition]limits{}
	errs := []error{}
	for _, p := range wanted {
		start, err1 := listedOffset(starts, p)
		end, err2 := listedOffset(ends, p)
		var at *int64
		var err3 error
		if s.kind == resetToTime {
			at, err3 = listedOffset(times, p)
		}
		if err := errors.Join(err1, err2, err3); err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", p, firstOf(err1, err2, err3)))
			continue
		}
		l := limits{start: *start, end: *end}
		if at != nil {
			// kadm puts the end, without a timestamp, where no record was found.
			o, _ := times.Lookup(p.topic, p.partition)
			l.time, l.timeFound = *at, o.Timestamp >= 0
		}
		all[p] = l
	}
	if len(errs) > 0 {
		if err := firstOf(startErr, endErr, timeErr); err != nil {
			return nil, shardError(err)
		}
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
