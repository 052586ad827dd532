package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/cli"
)

func newBench(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a broker and measure it",
		Long: `Puts load on any Kafka-compatible broker and prints throughput and latency. produce and consume use raw connections
and batches that are encoded once, so that the driver costs little beside the broker; e2e goes through a real client.
With --pid of a broker on this machine its CPU time and memory are printed too. Connections are plain text, nobody logs in.`,
		Example: `  streambus bench produce --duration 30s --pid $(pgrep -x streambus)
  streambus bench consume
  streambus bench e2e --rate 1000`,
	}
	c.AddCommand(newBenchProduce(a), newBenchConsume(a), newBenchEndToEnd(a), newBenchCompare(a), newBenchGroups(a), newBenchReady(a), newBenchSyncLoop(a))
	group(c)
	return c
}

// benchTarget are the flags that all three share.
type benchTarget struct {
	bench.Target
	configs []string
	quiet   bool
	drawn   bool // a line stands on the terminal
}

func (t *benchTarget) add(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&t.Bootstrap, "bootstrap", "b", []string{cli.DefaultBootstrap}, "addresses of one or more brokers, host:port")
	f.StringVar(&t.Topic, "topic", "bench", "the topic; it is made if it is missing")
	f.Int32Var(&t.Partitions, "partitions", 1, "partitions of the topic, if it is made")
	f.Int16Var(&t.ReplicationFactor, "replication-factor", -1, "replicas of the topic, if it is made; -1: the broker's default")
	f.StringArrayVar(&t.configs, "config", nil, "a property of the topic, if it is made, key=value; may be repeated")
	f.IntSliceVar(&t.PIDs, "pid", nil, "process ids of the broker or brokers, to measure their CPU time and memory together")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "no line a second on standard error")
}

func (t *benchTarget) read(c *cobra.Command) (bench.Target, error) {
	t.Configs = map[string]string{}
	for _, s := range t.configs {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return t.Target, usage(c, fmt.Errorf("config %q is not key=value", s))
		}
		t.Configs[k] = v
	}
	return t.Target, nil
}

// progress prints a line a second, on a terminal over the last one, unless it is not wanted.
func (t *benchTarget) progress(w io.Writer) func(bench.Progress) {
	if t.quiet {
		return nil
	}
	terminal := cli.IsTerminal(w)
	return func(p bench.Progress) {
		note := ""
		if p.WarmUp {
			note = "  (warm-up)"
		}
		line := fmt.Sprintf("%4.0fs  %12.0f records/s  %10s/s%s", p.Elapsed.Seconds(), p.PerSec, cli.FormatBytes(int64(p.BytesSec)), note)
		if !terminal {
			fmt.Fprintln(w, line)
			return
		}
		if p.Part > 0 {
			line = cli.Bar(p.Part) + line
		}
		fmt.Fprintf(w, "\r%-*s", lineWidth, line)
		t.drawn = true
	}
}

// lineWidth is what a line on a terminal is filled up to, so that nothing of a longer one is left.
const lineWidth = 78

// clear takes the line away.
func (t *benchTarget) clear(w io.Writer) {
	if t.drawn {
		fmt.Fprintf(w, "\r%*s\r", lineWidth, "")
	}
}

// finish prints what was measured even if the load broke off.
func (a *app) finish(f cli.Format, r *bench.Result, err error) error {
	if r != nil {
		err = errors.Join(err, cli.Print(a.out, f, (*benchResult)(r)))
	}
	return err
}

func newBenchProduce(a *app) *cobra.Command {
	var t benchTarget
	var o bench.ProduceOptions
	var acks string
	c := &cobra.Command{
		Use:   "produce",
		Short: "Write as fast as the broker lets, or at a fixed rate",
		Example: `  streambus bench produce
  streambus bench produce --batch 10 --connections 4 --in-flight 16 --duration 30s
  streambus bench produce --records 10000000 --partitions 12 --compression lz4 -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	t.add(c)
	f := c.Flags()
	f.IntVar(&o.RecordSize, "record-size", 100, "bytes of a record's value")
	f.IntVar(&o.BatchRecords, "batch", 1000, "records of a batch; a request carries one")
	f.IntVar(&o.Connections, "connections", 1, "connections to each broker")
	f.IntVar(&o.InFlight, "in-flight", 5, "requests without an answer on each connection")
	choice(c, &acks, "acks", "", "all", "which replicas must have a record", cli.AcksValues)
	choice(c, &o.Compression, "compression", "z", "none", "how batches are compressed", bench.Compressions)
	f.DurationVar(&o.Duration, "duration", 0, "how long; 10s if neither --records nor --bytes is given")
	f.Int64Var(&o.Records, "records", 0, "how many records; rounded up to whole batches")
	f.Int64Var(&o.Bytes, "bytes", 0, "how many bytes of values; rounded up to whole batches")
	f.DurationVar(&o.WarmUp, "warm-up", 0, "how long to run before measuring")
	f.Float64Var(&o.Rate, "rate", 0, "records a second; latency then counts from when a request was due; 0: as fast as it goes")
	return a.bench(c, &t, func(ctx context.Context, target bench.Target) (*bench.Result, error) {
		var err error
		if o.Acks, err = acksNumber(c, acks); err != nil {
			return nil, err
		}
		o.Target, o.Progress = target, t.progress(a.err)
		return bench.Produce(ctx, o)
	})
}

func newBenchConsume(a *app) *cobra.Command {
	var t benchTarget
	var o bench.ConsumeOptions
	c := &cobra.Command{
		Use:   "consume",
		Short: "Read what is there as fast as the broker lets",
		Long: `Reads every partition from its start to what is its end when the command starts; with --duration again and again
until the time is over.`,
		Example: `  streambus bench consume
  streambus bench consume --topic bench --connections 4 --duration 30s --partition-max 8388608`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	t.add(c)
	f := c.Flags()
	f.IntVar(&o.Connections, "connections", 1, "connections to each broker, which share its partitions")
	f.Int32Var(&o.MaxBytes, "max-bytes", 50<<20, "bytes of one fetch at most")
	f.Int32Var(&o.PartitionMax, "partition-max", 1<<20, "bytes of one partition in one fetch at most")
	f.DurationVar(&o.Duration, "duration", 0, "how long; 0: until all was read once")
	f.Int64Var(&o.Records, "records", 0, "stop after so many")
	return a.bench(c, &t, func(ctx context.Context, target bench.Target) (*bench.Result, error) {
		o.Target, o.Progress = target, t.progress(a.err)
		return bench.Consume(ctx, o)
	})
}

func newBenchEndToEnd(a *app) *cobra.Command {
	var t benchTarget
	var o bench.EndToEndOptions
	var acks string
	c := &cobra.Command{
		Use:   "e2e",
		Short: "Measure how long records take to a consumer, at a fixed rate",
		Long: `Sends records at a fixed rate through a real client and measures how long each takes until a second client has it.
A record counts from the moment it was due, so a stall shows in all records it held up.`,
		Example: `  streambus bench e2e --rate 1000 --duration 30s --warm-up 5s
  streambus bench e2e --rate 50000 --partitions 12 --linger 5ms`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	t.add(c)
	f := c.Flags()
	f.Float64Var(&o.Rate, "rate", 1000, "records a second")
	f.IntVar(&o.RecordSize, "record-size", 100, "bytes of a record's value")
	choice(c, &acks, "acks", "", "all", "which replicas must have a record", cli.AcksValues)
	f.DurationVar(&o.Linger, "linger", 0, "how long the producer waits for company")
	f.BoolVar(&o.Plain, "plain", false, "use plain connections instead of franz-go's clients, which take longer than a broker does")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long")
	f.DurationVar(&o.WarmUp, "warm-up", 2*time.Second, "how long to run before measuring")
	return a.bench(c, &t, func(ctx context.Context, target bench.Target) (*bench.Result, error) {
		var err error
		if o.Acks, err = acksNumber(c, acks); err != nil {
			return nil, err
		}
		o.Target, o.Progress = target, t.progress(a.err)
		return bench.EndToEnd(ctx, o)
	})
}

// bench finishes a command that puts a load on a cluster: it adds -o and prints the result.
func (a *app) bench(c *cobra.Command, t *benchTarget, load func(context.Context, bench.Target) (*bench.Result, error)) *cobra.Command {
	format := a.read(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		target, err := t.read(c)
		if err != nil {
			return err
		}
		t.quiet = t.quiet || f != cli.Table
		ctx, stop := interruptible()
		defer stop()
		r, err := load(ctx, target)
		t.clear(a.err)
		return a.finish(f, r, err)
	}
	return c
}

func acksNumber(c *cobra.Command, s string) (int16, error) {
	switch s {
	case "all", "-1":
		return -1, nil
	case "1":
		return 1, nil
	case "0":
		return 0, nil
	}
	return 0, usage(c, fmt.Errorf("--acks %q is none of %s", s, strings.Join(cli.AcksValues, ", ")))
}
