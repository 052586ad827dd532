package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumeOptions say what to read and how to print it.
type ConsumeOptions struct {
	Topic         string
	Partitions    []int32 // empty: all
	Start         Start
	UntilEnd      bool  // stop at what was each partition's end when the command started
	Count         int64 // stop after so many records; 0: no such limit
	ReadCommitted bool

	Output        Format // Text (by Template), Table, JSON or YAML
	Template      string // see RecordFormat
	KeyEncoding   Encoding
	ValueEncoding Encoding

	Progress *Progress // told about each record; may be nil

	topicColumn bool // of the table, when there are several topics
}

// NewConsumeOptions are the defaults: all there is and all that comes, a value a line.
func NewConsumeOptions(topic string) ConsumeOptions {
	return ConsumeOptions{
		Topic: topic, Start: Start{kind: fromEarliest},
		Output: Text, Template: `%s\n`, KeyEncoding: String, ValueEncoding: String,
	}
}

// ConsumeSummary counts what was printed.
type ConsumeSummary struct {
	Records int64
	Bytes   int64 // keys and values
}

// Consume prints records to out until the end that o asks for, or until ctx ends, which is no error: it is how a
// reader without an end is stopped.
func Consume(ctx context.Context, t Target, o ConsumeOptions, out io.Writer) (ConsumeSummary, error) {
	printer, err := newRecordPrinter(o, out)
	if err != nil {
		return ConsumeSummary{}, err
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return ConsumeSummary{}, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	listCtx, cancel := context.WithTimeout(ctx, t.timeout())
	spans, err := resolve(listCtx, admin, o)
	cancel()
	if err != nil {
		return ConsumeSummary{}, err
	}
	c := &consumption{o: o, admin: admin, spans: spans, printer: printer}
	if c.finished() {
		return c.summary, nil
	}
	err = c.run(ctx, t)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return c.summary, errors.Join(err, printer.flush())
}

type consumption struct {
	o       ConsumeOptions
	admin   *kadm.Client
	spans   map[int32]span // what is still to be read, if there is an end
	printer *recordPrinter
	summary ConsumeSummary
}

// idleCheck is how long nothing may come before the command asks whether the rest of its range was deleted meanwhile.
const idleCheck = 3 * time.Second

func (c *consumption) run(ctx context.Context, t Target) error {
	client, err := t.connect(ctx, c.clientOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	for !c.finished() {
		fetches, err := c.poll(ctx, client)
		if err != nil {
			return err
		}
		if err := c.take(fetches); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			c.dropDeleted(ctx)
		}
		if err := c.printer.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (c *consumption) clientOptions() []kgo.Opt {
	offsets := map[int32]kgo.Offset{}
	for p, s := range c.spans {
		if !c.o.UntilEnd || s.start < s.end {
			offsets[p] = kgo.NewOffset().At(s.start)
		}
	}
	opts := []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.o.Topic: offsets}),
		// A transaction's marker takes an offset; without it the end of a partition that ends in one is never seen.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}
	if c.o.ReadCommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return opts
}

func (c *consumption) poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	wait, cancel := context.WithTimeout(ctx, idleCheck)
	defer cancel()
	fetches := client.PollFetches(wait)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("consume %s, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return fetches, nil
}

func (c *consumption) take(fetches kgo.Fetches) error {
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		s, wanted := c.spans[r.Partition]
		if c.o.UntilEnd && (!wanted || r.Offset >= s.end) {
			delete(c.spans, r.Partition)
			continue
		}
		if !r.Attrs.IsControl() {
			if c.o.Count > 0 && c.summary.Records == c.o.Count {
				return nil
			}
			if err := c.printer.print(r); err != nil {
				return err
			}
			c.summary.Records++
			c.summary.Bytes += int64(len(r.Key) + len(r.Value))
		}
		if c.o.UntilEnd {
			c.advance(r.Partition, r.Offset+1)
		}
	}
	return nil
}

// advance notes that a partition was read up to next.
func (c *consumption) advance(partition int32, next int64) {
	s := c.spans[partition]
	if s.start = max(s.start, next); s.start >= s.end {
		delete(c.spans, partition)
		return
	}
	c.spans[partition] = s
}

// finished says whether all that was asked for is printed.
func (c *consumption) finished() bool {
	if c.o.Count > 0 && c.summary.Records >= c.o.Count {
		return true
	}
	if !c.o.UntilEnd {
		return false
	}
	for _, s := range c.spans {
		if s.start < s.end {
			return false
		}
	}
	return true
}

// dropDeleted keeps -e from waiting for records that retention took away after the command had started.
func (c *consumption) dropDeleted(ctx context.Context) {
	if !c.o.UntilEnd {
		return
	}
	starts, err := c.admin.ListStartOffsets(ctx, c.o.Topic)
	if err != nil {
		return
	}
	for p := range c.spans {
		if start, ok := starts.Lookup(c.o.Topic, p); ok && start.Err == nil {
			c.advance(p, start.Offset)
		}
	}
}

// recordPrinter writes records in one of the formats.
type recordPrinter struct {
	o      ConsumeOptions
	format *RecordFormat
	out    *bufio.Writer
	buf    []byte
	header bool // of the table, written already
}

func newRecordPrinter(o ConsumeOptions, out io.Writer) (*recordPrinter, error) {
	p := &recordPrinter{o: o, out: bufio.NewWriterSize(out, 64<<10)}
	template := o.Template
	if o.Output == Table {
		template = tableRow
		if o.topicColumn {
			template = `%t\t` + tableRow
		}
	}
	var err error
	p.format, err = ParseRecordFormat(template, o.KeyEncoding, o.ValueEncoding)
	return p, err
}

// tableRow has tabs and not widths: nobody knows how wide a stream's cells will be.
const tableRow = `%p\t%o\t%T\t%k\t%s\n`

func (p *recordPrinter) print(r *kgo.Record) error {
	p.o.Progress.Add(1)
	switch p.o.Output {
	case JSON:
		return writeJSON(p.out, newJSONRecord(r, p.o.KeyEncoding, p.o.ValueEncoding), "")
	case YAML:
		if _, err := p.out.WriteString("---\n"); err != nil {
			return err
		}
		return writeYAML(p.out, newJSONRecord(r, p.o.KeyEncoding, p.o.ValueEncoding))
	case Table:
		if !p.header {
			p.header = true
			if p.o.topicColumn {
				fmt.Fprint(p.out, "TOPIC\t")
			}
			fmt.Fprintln(p.out, "PARTITION\tOFFSET\tTIMESTAMP\tKEY\tVALUE")
		}
	}
	p.buf = p.format.Append(p.buf[:0], r)
	_, err := p.out.Write(p.buf)
	return err
}

func (p *recordPrinter) flush() error { return p.out.Flush() }
