package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/cli"
)

// benchCompare are the flags of bench compare; most are those of the workloads.
type benchCompare struct {
	bench.PairsOptions
	target         benchTarget
	acks           string
	warmUp, length time.Duration
	rate           float64
	recordSize     int
	connections    int
}

func newBenchCompare(a *app) *cobra.Command {
	var o benchCompare
	c := &cobra.Command{
		Use:   "compare",
		Short: "Put the same load on two brokers in turn and compare them",
		Long: `Runs one workload on A and on B, then on B and on A, and so on: both have their share of whatever else the machine
does. Prints median and quartiles of each side, and the median of the pairs' ratios with its quartiles and extremes: a
spread that contains 1 says that there is no difference to be seen. With the process ids of brokers on this machine,
their CPU time and memory are compared too. Topics are made for each round and removed after it.

consume reads what produce has written into one topic of each side before the first round; how much that is say
--records or --fill-duration.`,
		Example: `  streambus bench compare --a 127.0.0.1:9092 --b 127.0.0.1:19092 --pid-a 101 --pid-b 102
  streambus bench compare --a 127.0.0.1:9092 --b 127.0.0.1:19092 --workload e2e --rate 1000
  streambus bench compare --a 127.0.0.1:9092 --b 127.0.0.1:19092 --workload consume --records 5000000 --pairs 8 -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.flags(c)
	format := a.read(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if err := o.read(c); err != nil {
			return err
		}
		if !o.target.quiet && f == cli.Table {
			o.Tell = tellPairs(a.err)
		}
		ctx, stop := interruptible()
		defer stop()
		r, err := bench.Pairs(ctx, o.PairsOptions)
		if r != nil {
			err = errors.Join(err, cli.Print(a.out, f, (*comparison)(r)))
		}
		return err
	}
	return c
}

func (o *benchCompare) flags(c *cobra.Command) {
	f, p := c.Flags(), &o.Produce
	f.StringSliceVar(&o.A.Bootstrap, "a", nil, "addresses of the one side, host:port")
	f.StringSliceVar(&o.B.Bootstrap, "b", nil, "addresses of the other side, host:port")
	f.IntSliceVar(&o.A.PIDs, "pid-a", nil, "process ids of A's brokers, to measure their CPU time and memory together")
	f.IntSliceVar(&o.B.PIDs, "pid-b", nil, "process ids of B's brokers")
	choice(c, &o.Workload, "workload", "w", bench.Workloads[0], "what is compared", bench.Workloads)
	f.IntVar(&o.Pairs, "pairs", 4, "rounds of each side that count")
	f.IntVar(&o.WarmUpPairs, "warm-up-pairs", 1, "rounds of each side that come first and don't count; -1: none")
	f.DurationVar(&o.length, "duration", 5*time.Second, "of each round")
	f.DurationVar(&o.warmUp, "warm-up", time.Second, "before each round is measured")
	f.DurationVar(&o.Pause, "pause", 500*time.Millisecond, "between two rounds")
	f.BoolVar(&o.KeepTopics, "keep-topics", false, "remove the topics of rounds at the end only: the page cache fills, as on a broker that has run for long")
	f.Int32Var(&o.target.Partitions, "partitions", 4, "partitions of the topics")
	f.Int16Var(&o.target.ReplicationFactor, "replication-factor", -1, "replicas of the topics; -1: each broker's default")
	f.StringArrayVar(&o.target.configs, "config", nil, "a property of the topics, key=value; may be repeated")
	f.IntVar(&o.recordSize, "record-size", 100, "bytes of a record's value")
	f.IntVar(&p.BatchRecords, "batch", 1000, "produce: records of a batch; a request carries one")
	f.IntVar(&o.connections, "connections", 2, "produce, consume: connections to each broker")
	f.IntVar(&p.InFlight, "in-flight", 5, "produce: requests without an answer on each connection")
	choice(c, &o.acks, "acks", "", "all", "which replicas must have a record", cli.AcksValues)
	choice(c, &p.Compression, "compression", "z", "none", "produce: how batches are compressed", bench.Compressions)
	f.Int64Var(&p.Records, "records", 0, "produce: records of a round, instead of --duration; consume: records of the topic")
	f.DurationVar(&p.Duration, "fill-duration", 5*time.Second, "consume: how long the topic is written to, without --records")
	f.Float64Var(&o.rate, "rate", 0, "records a second; 0: produce as fast as it goes, e2e 1000")
	f.DurationVar(&o.EndToEnd.Linger, "linger", 0, "e2e: how long the producer waits for company")
	f.BoolVarP(&o.target.quiet, "quiet", "q", false, "no line a round on standard error")
}

// read puts the flags where the workloads look for them.
func (o *benchCompare) read(c *cobra.Command) error {
	if len(o.A.Bootstrap) == 0 || len(o.B.Bootstrap) == 0 {
		return usage(c, errors.New("--a and --b are needed"))
	}
	if !slices.Contains(bench.Workloads, o.Workload) {
		return usage(c, fmt.Errorf("unknown workload %q (allowed: %s)", o.Workload, strings.Join(bench.Workloads, ", ")))
	}
	target, err := o.target.read(c)
	if err != nil {
		return err
	}
	acks, err := acksNumber(c, o.acks)
	if err != nil {
		return err
	}
	p, e := &o.Produce, &o.EndToEnd
	p.Target, p.Acks, p.RecordSize, p.Connections, p.Rate = target, acks, o.recordSize, o.connections, o.rate
	e.Acks, e.RecordSize, e.Rate, e.Duration, e.WarmUp = acks, o.recordSize, o.rate, o.length, o.warmUp
	o.Consume.Connections, o.Consume.Duration = o.connections, o.length
	if o.Workload == "consume" {
		if p.Records > 0 {
			p.Duration = 0
		}
		return nil
	}
	p.Duration, p.WarmUp = o.length, o.warmUp
	if p.Records > 0 {
		p.Duration = 0
	}
	return nil
}

// tellPairs prints a line for each round.
func tellPairs(w io.Writer) func(bench.PairsProgress) {
	return func(p bench.PairsProgress) {
		line := fmt.Sprintf("%3d/%d  %s  %12.0f records/s", p.Round, p.Rounds, p.Side, p.Result.RecordsSec)
		if l := p.Result.Latency; l != nil {
			line += fmt.Sprintf("  p50 %s  p99 %s", millis(l.P50), millis(l.P99))
		}
		if b := p.Result.Broker; b != nil {
			line += fmt.Sprintf("  %.3f s CPU a million records", b.MicrosPerRecord)
		}
		if p.WarmUp {
			line += "  (warm-up)"
		}
		fmt.Fprintln(w, line)
	}
}

// comparison prints a bench.Comparison.
type comparison bench.Comparison

// WriteTable prints a metric a line: the median of each side with its quartiles, and the ratio.
func (r *comparison) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, rounds in the order %s\nA: %s\nB: %s\n\n", r.Workload, r.Order,
		strings.Join(r.A.Bootstrap, ","), strings.Join(r.B.Bootstrap, ","))
	t := cli.NewTableWriter(w, "MEDIAN (QUARTILES)", "A", "B", "A TO B (QUARTILES; EXTREMES)", "BETTER")
	for _, m := range r.Metrics {
		t.Row(m.Name+", "+m.Unit, side(m.A), side(m.B), ratio(m.Ratio), better(m))
	}
	return t.Flush()
}

func side(q bench.Quartiles) string {
	if q == (bench.Quartiles{}) {
		return "-"
	}
	return fmt.Sprintf("%s (%s-%s)", figure(q.Median), figure(q.Q1), figure(q.Q3))
}

func ratio(q bench.Quartiles) string {
	if q == (bench.Quartiles{}) {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f; %.2f-%.2f)", q.Median, q.Q1, q.Q3, q.Min, q.Max)
}

// better says who is, if all pairs agree.
func better(m bench.MetricPair) string {
	more, less := "A", "B"
	if m.Better == "lower" {
		more, less = less, more
	}
	switch {
	case m.Ratio == (bench.Quartiles{}):
		return "-"
	case m.Ratio.Min > 1:
		return more
	case m.Ratio.Max < 1:
		return less
	}
	return "not clear"
}

// figure writes three digits or all of the whole ones.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
