package log

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/streambus/streambus/kafkaproto"
)

// cleanLog is a log in memory that can be compacted.
type cleanLog struct {
	batches   []kafkaproto.Batch
	next      offset
	dirty     offset // compacted up to here
	producers producerTable
	aborted   []AbortedTxn
}

func (l *cleanLog) append(b kafkaproto.Batch) {
	b.SetBaseOffset(l.next)
	b.SetPartitionLeaderEpoch(3)
	l.next = b.NextOffset()
	l.batches = append(l.batches, b)
	if b.ProducerID() < 0 {
		return
	}
	info := infoOf(b, b.BaseOffset(), b.LastOffset())
	l.producers.publish(&info)
	l.aborted = append(l.aborted, l.producers.aborted...)
	l.producers.aborted = nil
	slices.SortFunc(l.aborted, func(a, b AbortedTxn) int { return int(a.First - b.First) })
}

func (l *cleanLog) lastStable() offset { return l.producers.lastStable(l.next) }

// clean is one pass. A bound of -1 is the last stable offset. The log stays as it is if there is an error.
func (l *cleanLog) clean(slots int, rules cleanRules) (*cleanPass, error) {
	if rules.bound < 0 {
		rules.bound = l.lastStable()
	}
	rules.aborted, rules.last = l.aborted, l.producers.lastRecords()
	m := newCleanMap(slots * cleanSlotBytes)
	if err := m.begin(l.dirty, [16]byte{1, 2, 3}, l.aborted); err != nil {
		return nil, err
	}
	full := false
	for _, b := range l.batches {
		if full || b.NextOffset() > rules.bound {
			break
		}
		if b.NextOffset() <= l.dirty {
			continue
		}
		var err error
		if full, err = m.add(b); err != nil {
			return nil, err
		}
	}
	if !full {
		m.skipTo(rules.bound)
	}
	p := newCleanPass(m, rules)
	var left []kafkaproto.Batch
	for _, b := range l.batches {
		out, err := p.batch(b)
		if err != nil {
			return nil, err
		}
		if out != nil {
			left = append(left, bytes.Clone(out))
		}
	}
	l.batches, l.dirty = left, m.upTo()
	l.aborted = slices.DeleteFunc(l.aborted, func(a AbortedTxn) bool { return slices.Contains(p.abortedGone(), a) })
	return p, nil
}

// The scripts in testdata/clean compact logs; -rewrite writes what is left of them.
//
//	log                                             begin an empty one
//	append [pid=n [epoch=n] [seq=n]] [txn] [codec=name] [append-time=ms]
//	key=value@time ...                              in one batch; ~ stands for null
//	commit|abort pid=n [epoch=n] [time=ms]
//	forget pid=n                                    the producer has expired
//	start offset=n                                  what lies below is deleted
//	damage at=n byte=n                              flip a bit of the batch at an offset
//	restart                                         it is not known any more what was compacted
//	clean now=ms [retention=ms] [bound=n] [slots=n] one pass; 100 slots unless said
func TestCleanScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/clean", func(t *testing.T, path string) {
		s := cleanScript{sequences: map[int64]int32{}}
		datadriven.RunTest(t, path, s.run)
	})
}

type cleanScript struct {
	l         cleanLog
	sequences map[int64]int32 // the next of each producer
}

func (s *cleanScript) run(t *testing.T, d *datadriven.TestData) string {
	number := func(key string, otherwise int64) int64 {
		d.MaybeScanArgs(t, key, &otherwise)
		return otherwise
	}
	pid := number("pid", -1)
	switch d.Cmd {
	case "log":
		*s = cleanScript{sequences: map[int64]int32{}}
	case "append":
		b := s.batch(t, d, number)
		s.l.append(b)
		return fmt.Sprintf("%d-%d\n", b.BaseOffset(), b.LastOffset())
	case "commit", "abort":
		kind := kafkaproto.ControlCommit
		if d.Cmd == "abort" {
			kind = kafkaproto.ControlAbort
		}
		epoch := kafkaproto.ProducerEpoch(number("epoch", 0))
		b := kafkaproto.ControlBatch(kind, kafkaproto.ProducerID(pid), epoch, 0, kafkaproto.Timestamp(number("time", 0)))
		s.l.append(b)
		return fmt.Sprintf("%d\n", b.BaseOffset())
	case "forget":
		delete(s.l.producers.byID, kafkaproto.ProducerID(pid))
	case "start":
		start := offset(number("offset", 0))
		s.l.batches = slices.DeleteFunc(s.l.batches, func(b kafkaproto.Batch) bool { return b.LastOffset() < start })
		s.l.aborted = slices.DeleteFunc(s.l.aborted, func(a AbortedTxn) bool { return a.Last < start })
	case "damage":
		for _, b := range s.l.batches {
			if b.BaseOffset() == offset(number("at", 0)) {
				b[number("byte", 0)] ^= 1
			}
		}
	case "restart":
		s.l.dirty = 0
	case "clean":
		return s.clean(d, number)
	default:
		d.Fatalf(t, "no command %s", d.Cmd)
	}
	return ""
}

func (s *cleanScript) batch(t *testing.T, d *datadriven.TestData, number func(string, int64) int64) kafkaproto.Batch {
	bb := kafkaproto.NewBuilder()
	if name := ""; d.MaybeScanArgs(t, "codec", &name) {
		bb.Codec, _ = kafkaproto.ParseCodec(name)
	}
	appendTime := number("append-time", -1)
	if appendTime >= 0 {
		bb.TimestampType = kafkaproto.LogAppendTime
	}
	records := strings.Fields(d.Input)
	if pid := number("pid", -1); pid >= 0 {
		bb.ProducerID, bb.ProducerEpoch = kafkaproto.ProducerID(pid), kafkaproto.ProducerEpoch(number("epoch", 0))
		bb.BaseSequence = int32(number("seq", int64(s.sequences[pid])))
		s.sequences[pid] = bb.BaseSequence + int32(len(records))
	}
	bb.Transactional = d.HasArg("txn")
	for _, text := range records {
		key, rest, _ := strings.Cut(text, "=")
		value, at, _ := strings.Cut(rest, "@")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			d.Fatalf(t, "%s: %v", text, err)
		}
		if appendTime >= 0 {
			ms = appendTime
		}
		bb.Append(kafkaproto.Record{Timestamp: kafkaproto.Timestamp(ms), Key: nullable(key), Value: nullable(value)})
	}
	b, err := bb.Batch()
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return b
}

func nullable(s string) []byte {
	if s == "~" {
		return nil
	}
	return []byte(s)
}

func (s *cleanScript) clean(d *datadriven.TestData, number func(string, int64) int64) string {
	rules := cleanRules{
		now: kafkaproto.Timestamp(number("now", 0)), deleteRetention: time.Duration(number("retention", 1000)) * time.Millisecond,
		bound: offset(number("bound", -1)),
	}
	p, err := s.l.clean(int(number("slots", 100)), rules)
	if err != nil {
		return fmt.Sprintf("%v\n", err)
	}
	var out strings.Builder
	for _, b := range s.l.batches {
		out.WriteString(showBatch(b) + "\n")
	}
	c := p.counts
	fmt.Fprintf(&out, "up to %d: %d of %d batches, %d of %d records, %d rebuilt", s.l.dirty, c.batchesKept, c.batchesRead, c.recordsKept, c.recordsRead, c.rebuilt)
	if c.keyless > 0 {
		fmt.Fprintf(&out, ", %d without key", c.keyless)
	}
	if c.horizon >= 0 {
		fmt.Fprintf(&out, ", next horizon %d", c.horizon)
	}
	out.WriteString("\n")
	for _, a := range p.abortedGone() {
		fmt.Fprintf(&out, "aborted transaction of %d at %d-%d is gone\n", a.Producer, a.First, a.Last)
	}
	return out.String()
}

// showBatch is a batch on one line.
func showBatch(b kafkaproto.Batch) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d-%d", b.BaseOffset(), b.LastOffset())
	if b.ProducerID() >= 0 {
		fmt.Fprintf(&out, " pid=%d/%d", b.ProducerID(), b.ProducerEpoch())
	}
	if b.BaseSequence() >= 0 {
		fmt.Fprintf(&out, " seq=%d-%d", b.BaseSequence(), b.LastSequence())
	}
	if b.IsTransactional() && !b.IsControl() {
		out.WriteString(" txn")
	}
	if b.Codec() != kafkaproto.CodecNone {
		fmt.Fprintf(&out, " %v", b.Codec())
	}
	if b.TimestampType() == kafkaproto.LogAppendTime {
		out.WriteString(" append-time")
	}
	if h, ok := b.DeleteHorizon(); ok {
		fmt.Fprintf(&out, " horizon=%d", h)
	}
	fmt.Fprintf(&out, " max=%d:", b.MaxTimestamp())
	if b.IsControl() && b.NumRecords() > 0 {
		kind, _, err := b.ControlType()
		fmt.Fprintf(&out, " %s", map[kafkaproto.ControlType]string{kafkaproto.ControlAbort: "abort", kafkaproto.ControlCommit: "commit"}[kind])
		if err != nil {
			fmt.Fprintf(&out, " %v", err)
		}
		return out.String()
	}
	if b.NumRecords() == 0 {
		out.WriteString(" empty")
		if b.IsControl() {
			out.WriteString(" marker")
		}
	}
	text := func(p []byte) string {
		if p == nil {
			return "~"
		}
		return string(p)
	}
	err := kafkaproto.Records(b, func(r kafkaproto.Record) error {
		fmt.Fprintf(&out, " %d:%s=%s@%d", r.Offset, text(r.Key), text(r.Value), r.Timestamp)
		return nil
	})
	if err := b.CheckCRC(); err != nil {
		fmt.Fprintf(&out, " %v", err)
	}
	if err != nil {
		fmt.Fprintf(&out, " %v", err)
	}
	return out.String()
}
