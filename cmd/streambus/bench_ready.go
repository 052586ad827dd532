package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/cli"
)

func newBenchReady(a *app) *cobra.Command {
	var o bench.ReadyOptions
	c := &cobra.Command{
		Use:   "ready",
		Short: "Measure how soon every partition of a topic can be used",
		Long: `Asks every partition of a topic for its end, then for its last batch, and gives it a record with acks=all, and prints
when the last one had answered. It waits for brokers that are not there yet and counts from its own start: begun in the
moment before a broker is, it says how long users of that broker wait after a crash.

Make a topic with many partitions and load, end the broker with kill -9, and begin both again.`,
		Example: `  streambus bench produce --topic many --partitions 10000 --bytes 2000000000
  kill -9 $(pgrep -x streambus); streambus bench ready --topic many & streambus serve`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringSliceVarP(&o.Bootstrap, "bootstrap", "b", []string{cli.DefaultBootstrap}, "addresses of one or more brokers, host:port")
	f.StringVar(&o.Topic, "topic", "bench", "the topic, which must exist")
	f.IntVar(&o.Connections, "connections", 4, "connections to each broker, each with one request at a time")
	f.IntVar(&o.Batch, "batch", 250, "partitions in one request")
	f.IntVar(&o.RecordSize, "record-size", 100, "bytes of the value that each partition gets")
	f.DurationVar(&o.Timeout, "timeout", time.Minute, "how long to wait")
	f.IntSliceVar(&o.PIDs, "pid", nil, "process ids of brokers that run already, to measure their CPU time and memory together")
	format := a.read(c)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		r, err := bench.Ready(ctx, o)
		if r != nil {
			err = errors.Join(err, cli.Print(a.out, f, (*readyResult)(r)))
		}
		return err
	}
	return c
}

// readyResult prints a bench.ReadyResult.
type readyResult bench.ReadyResult

// WriteTable prints a name and a value a line.
func (r *readyResult) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w)
	after := func(what string, seconds float64) {
		if seconds > 0 {
			t.Row(what, fmt.Sprintf("after %.3f s", seconds))
		}
	}
	t.Row("load", fmt.Sprintf("topic %s, %d partitions, %d of them empty", r.Topic, r.Partitions, r.Empty))
	after("a broker answered", r.Answered)
	after("leaders known", r.Located)
	after("first acknowledgement", r.FirstAck)
	after("all ends told", r.Listed)
	after("all last batches read", r.Fetched)
	after("all acknowledged", r.Produced)
	t.Row("last batches", cli.FormatBytes(r.FetchBytes))
	t.Row("requests", fmt.Sprintf("%d, %d retries", r.Requests, r.Retries))
	processRows(t, r.Broker, r.Driver)
	return t.Flush()
}
