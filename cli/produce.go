package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProduceOptions say what to read and how to send it. The zero value of a field that is not a string means what
// NewProduceOptions sets.
type ProduceOptions struct {
	Topic string // empty: each record of JSON input names its own

	Input        InputFormat
	KeySeparator string   // for lines: what stands between key and value; empty: the line is the value
	Key          string   // a key for every record that brings none; used if HasKey
	HasKey       bool     // tells an empty key from none
	Headers      []string // name=value, added to every record
	EmptyAsNull  bool     // for lines: an empty key or value is a null (a tombstone)
	MaxLine      int      // bytes; a longer line is an error

	Partition   int32 // -1: chosen by Partitioner
	Partitioner string
	Compression string
	Acks        string // all, 1, 0
	Idempotence bool   // needs Acks all
	Linger      time.Duration
	Timeout     time.Duration // until a record that nobody acknowledged counts as failed
	BatchBytes  int32         // of one batch at most

	PerRecord func(ProducedRecord) // called for every record that ended, from other goroutines but never two at once; may be nil
}

// NewProduceOptions are the defaults, which are those of Kafka's own producer where it has them.
func NewProduceOptions(topic string) ProduceOptions {
	return ProduceOptions{
		Topic: topic, Input: InputLine, MaxLine: 64 << 20,
		Partition: -1, Partitioner: "kafka", Compression: "none", Acks: "all", Idempotence: true,
		Linger: 5 * time.Millisecond, Timeout: 2 * time.Minute, BatchBytes: 1000012,
	}
}

// ProducedRecord is the end of one record: where it stands, or why it doesn't.
type ProducedRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // -1 without an acknowledgement
	Timestamp int64  `json:"timestamp"`
	Error     string `json:"error,omitempty"`
}

// ProduceSummary counts what became of the input.
type ProduceSummary struct {
	Topic      string              `json:"topic,omitempty"`
	Records    int64               `json:"records"` // acknowledged (sent, with acks 0)
	Bytes      int64               `json:"bytes"`   // keys and values of those, before compression
	Failed     int64               `json:"failed"`
	Seconds    float64             `json:"seconds"`
	Partitions []ProducedPartition `json:"partitions"`
	Errors     []string            `json:"errors,omitempty"` // the first of each kind, ten at most
}

// ProducedPartition is the range of offsets written to one partition; other producers' records may stand between.
type ProducedPartition struct {
	Topic     string `json:"topic,omitempty"` // only if the input named other topics
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
	First     int64  `json:"firstOffset"`
	Last      int64  `json:"lastOffset"`
}

// WriteTable prints the one line that people want.
func (s *ProduceSummary) WriteTable(w io.Writer) error {
	to := ""
	if s.Topic != "" {
		to = " to " + s.Topic
	}
	_, err := fmt.Fprintf(w, "%d records (%s) in %.2f s%s, %d failed\n", s.Records, FormatBytes(s.Bytes), s.Seconds, to, s.Failed)
	return err
}

// Produce sends what it reads from in until it ends or ctx does, then waits for the last answers. Records that failed
// are counted in the summary; the error is about everything else (the input can't be parsed, no broker answers).
func Produce(ctx context.Context, t Target, o ProduceOptions, in io.Reader) (*ProduceSummary, error) {
	if o.Topic == "" && o.Input != InputJSON {
		return nil, usagef("a topic must be named: only JSON input can bring its own")
	}
	opts, err := produceClientOptions(o)
	if err != nil {
		return nil, err
	}
	reader, err := newRecordReader(in, o)
	if err != nil {
		return nil, err
	}
	client, err := t.connect(ctx, opts...)
	if err != nil {
		return nil, err
	}
	p := &production{o: o, deadlines: newDeadlines(o.Timeout), parts: map[topicPartition]*ProducedPartition{}, kinds: map[string]bool{}}
	defer p.deadlines.stop()
	defer client.Close()
	start := time.Now()
	readErr := p.run(ctx, client, reader)
	// Not ctx: an interrupt ends the reading, what was read is still delivered.
	if err := client.Flush(context.WithoutCancel(ctx)); err != nil {
		readErr = errors.Join(readErr, err)
	}
	return p.summary(time.Since(start)), readErr
}

type topicPartition struct {
	topic     string
	partition int32
}

type production struct {
	o         ProduceOptions
	deadlines *deadlines

	mu sync.Mutex // guards what stands below
	// The counters grow in kgo's goroutines.
	records, bytes, failed int64
	parts                  map[topicPartition]*ProducedPartition
	kinds                  map[string]bool
	errors                 []string
}

// run reads in a goroutine of its own, because a read of a terminal can't be cancelled.
func (p *production) run(ctx context.Context, client *kgo.Client, reader *recordReader) error {
	ended := make(chan error, 1)
	go func() {
		for {
			r, err := reader.next()
			if err != nil || ctx.Err() != nil {
				ended <- err
				return
			}
			client.Produce(p.deadlines.next(time.Now()), r, p.done)
		}
	}()
	select {
	case err := <-ended:
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

func (p *production) done(r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("not acknowledged within %s", p.o.Timeout)
	}
	if err != nil {
		p.fail(r, err)
	} else {
		p.records++
		p.bytes += int64(len(r.Key) + len(r.Value))
		p.note(r)
	}
	if p.o.PerRecord != nil {
		e := ProducedRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli()}
		if err != nil {
			e.Error, e.Offset = Explain(err), -1
		}
		p.o.PerRecord(e)
	}
}

// maxErrorKinds bounds what the summary repeats of a million failures.
const maxErrorKinds = 10

func (p *production) fail(r *kgo.Record, err error) {
	p.failed++
	text := fmt.Sprintf("produce to %s: %s", r.Topic, Explain(err))
	if len(p.errors) < maxErrorKinds && !p.kinds[text] {
		p.kinds[text] = true
		p.errors = append(p.errors, text)
	}
}

func (p *production) note(r *kgo.Record) {
	key := topicPartition{r.Topic, r.Partition}
	part := p.parts[key]
	if part == nil {
		part = &ProducedPartition{Partition: r.Partition, First: r.Offset, Last: r.Offset}
		if r.Topic != p.o.Topic {
			part.Topic = r.Topic
		}
		p.parts[key] = part
	}
	part.Records++
	part.First = min(part.First, r.Offset)
	part.Last = max(part.Last, r.Offset)
}

func (p *production) summary(took time.Duration) *ProduceSummary {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &ProduceSummary{
		Topic: p.o.Topic, Records: p.records, Bytes: p.bytes, Failed: p.failed,
		Seconds: took.Seconds(), Errors: p.errors, Partitions: []ProducedPartition{},
	}
	for _, part := range p.parts {
		s.Partitions = append(s.Partitions, *part)
	}
	slices.SortFunc(s.Partitions, func(a, b ProducedPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return s
}

// FormatBytes writes a size for people, in powers of 1000.
func FormatBytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
