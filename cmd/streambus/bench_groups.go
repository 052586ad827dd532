package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/cli"
)

// benchGroups are the flags of bench groups, which has three loads in one.
type benchGroups struct {
	benchTarget
	load                             bench.GroupsOptions
	offsets                          bench.OffsetsOptions
	commitOnly, fetchAll, deleteThem bool
}

func newBenchGroups(a *app) *cobra.Command {
	var o benchGroups
	c := &cobra.Command{
		Use:   "groups",
		Short: "Keep many consumer groups alive, commit and fetch their offsets",
		Long: `Lets the members of many groups join, each over a connection of its own, and keeps them alive by heartbeats; beside
them, --committers commit one offset after the other, each waiting for its answer before the next (bench sync-loop says
what the disk alone would make of that). With --groups -1 there are only committers. At the end members leave and the
groups are deleted.

With --commit-only every group gets one committed offset instead, and no members; --fetch-all fetches those offsets
and compares. It waits for a broker that is not there yet, so started with a broker it says how long its users wait.
--delete deletes those groups.`,
		Example: `  streambus bench groups --groups 1000 --members 3 --pid $(pgrep -x streambus)
  streambus bench groups --groups -1 --committers 1
  streambus bench groups --commit-only --groups 10000
  streambus bench groups --fetch-all --groups 10000
  streambus bench groups --delete --groups 10000`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.add(c)
	f := c.Flags()
	f.IntVar(&o.load.Groups, "groups", 1000, "how many groups; -1: none")
	f.IntVar(&o.load.Members, "members", 3, "members of each group")
	f.DurationVar(&o.load.SessionTimeout, "session-timeout", 45*time.Second, "of each member")
	f.DurationVar(&o.load.Heartbeat, "heartbeat", 3*time.Second, "how often each member sends one")
	f.IntVar(&o.load.Connections, "connections", 0, "connections that all members share for heartbeats (0: each has its own); with --commit-only and --fetch-all those to each coordinator (0: 16)")
	f.IntVar(&o.load.Committers, "committers", 0, "loops that commit one offset after the other")
	f.StringVar(&o.load.Prefix, "group-prefix", "bench-group", "what names of groups begin with")
	f.DurationVar(&o.load.Duration, "duration", 30*time.Second, "how long")
	f.DurationVar(&o.load.WarmUp, "warm-up", 5*time.Second, "how long to wait after all members have joined")
	f.BoolVar(&o.commitOnly, "commit-only", false, "commit one offset for each group, no members")
	f.BoolVar(&o.fetchAll, "fetch-all", false, "fetch and compare the offsets of all groups")
	f.BoolVar(&o.deleteThem, "delete", false, "delete the groups")
	f.IntVar(&o.offsets.Batch, "batch", 100, "groups in one request of --fetch-all")
	f.DurationVar(&o.offsets.Timeout, "timeout", time.Minute, "how long --commit-only, --fetch-all and --delete may take")
	format := a.read(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if err := exclusive(c, "commit-only", "fetch-all", "delete"); err != nil {
			return err
		}
		target, err := o.read(c)
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		return a.benchGroups(ctx, f, target, &o)
	}
	return c
}

func (a *app) benchGroups(ctx context.Context, f cli.Format, target bench.Target, o *benchGroups) error {
	o.load.Target, o.offsets.Target = target, target
	o.quiet = o.quiet || f != cli.Table
	o.load.Progress = o.progress(a.err)
	o.offsets.Groups, o.offsets.Prefix, o.offsets.Connections = o.load.Groups, o.load.Prefix, o.load.Connections
	switch {
	case o.deleteThem:
		return bench.DeleteGroups(ctx, o.offsets)
	case o.commitOnly:
		r, err := bench.CommitOffsets(ctx, o.offsets)
		if r != nil {
			err = errors.Join(err, cli.Print(a.out, f, (*offsetsResult)(r)))
		}
		return err
	case o.fetchAll:
		r, err := bench.FetchOffsets(ctx, o.offsets)
		if r != nil {
			err = errors.Join(err, cli.Print(a.out, f, (*offsetsResult)(r)))
		}
		return err
	}
	r, err := bench.Groups(ctx, o.load)
	o.clear(a.err)
	if r != nil {
		err = errors.Join(err, cli.Print(a.out, f, (*groupsResult)(r)))
	}
	return err
}

// groupsResult prints a bench.GroupsResult.
type groupsResult bench.GroupsResult

// WriteTable prints a name and a value a line.
func (r *groupsResult) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w)
	t.Row("load", fmt.Sprintf("%d groups of %d members, %d connections, session timeout %s, a heartbeat every %s, %d committers",
		r.Groups, r.Members, r.Connections, time.Duration(r.SessionTimeoutMs)*time.Millisecond,
		time.Duration(r.HeartbeatMs)*time.Millisecond, r.Committers))
	t.Row("joined in", fmt.Sprintf("%.2f s", r.JoinSeconds))
	t.Row("measured", fmt.Sprintf("%.2f s", r.Seconds))
	latencyRow(t, "heartbeats", r.HeartbeatsSec, r.Heartbeat)
	latencyRow(t, "commits", r.CommitsSec, r.Commit)
	t.Row("rejoins", r.Rejoins)
	processRows(t, r.Broker, r.Driver)
	if r.Errors > 0 {
		t.Row("errors", fmt.Sprintf("%d, the first: %s", r.Errors, r.FirstError))
	}
	return t.Flush()
}

func latencyRow(t *cli.TableWriter, name string, rate float64, l *bench.Latency) {
	if l == nil {
		return
	}
	t.Row(name, fmt.Sprintf("%d, %.0f/s: p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", l.Count, rate,
		millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max)))
}

func processRows(t *cli.TableWriter, broker, driver *bench.Process) {
	if p := broker; p != nil {
		t.Row("broker", fmt.Sprintf("%.1f%% of a core, %.1f us CPU a request, %s resident (%s anonymous, peak %s)", p.CPUPercent,
			p.MicrosPerRecord, cli.FormatBytes(p.RSS), cli.FormatBytes(p.Anonymous), cli.FormatBytes(p.Peak)))
	}
	if p := driver; p != nil {
		t.Row("driver", fmt.Sprintf("%.1f%% of a core", p.CPUPercent))
	}
}

// offsetsResult prints a bench.OffsetsResult.
type offsetsResult bench.OffsetsResult

// WriteTable prints a name and a value a line.
func (r *offsetsResult) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w)
	t.Row("load", fmt.Sprintf("%s, %d groups, %d connections", r.Kind, r.Groups, r.Connections))
	t.Row("took", fmt.Sprintf("%.3f s, %.3f s of it to find the coordinators", r.Seconds, r.FindSeconds))
	t.Row("groups", fmt.Sprintf("%d done, %d without an offset, %d with another", r.Done, r.Missing, r.Wrong))
	latencyRow(t, "requests", float64(r.Requests)/r.Seconds, r.Latency)
	t.Row("retries", r.Retries)
	processRows(t, r.Broker, r.Driver)
	return t.Flush()
}

func newBenchSyncLoop(a *app) *cobra.Command {
	var o bench.SyncLoopOptions
	c := &cobra.Command{
		Use:   "sync-loop",
		Short: "Measure what a disk takes to keep a few bytes",
		Long: `Writes a few bytes to a file, waits until the disk has them (fdatasync), and begins again: what a broker can't be
faster than if it answers each request by itself when it is durable. The file is removed at the end.`,
		Example: `  streambus bench sync-loop --dir ./data
  streambus bench sync-loop --dir ./data --size 1000 --preallocate -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".", "where the file is made")
	_ = c.MarkFlagDirname("dir")
	f.IntVar(&o.Size, "size", 200, "bytes of each write; 200 is about a committed offset")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "how long")
	f.Int64Var(&o.Count, "count", 0, "stop after so many writes")
	f.Float64Var(&o.Rate, "rate", 0, "writes a second; latency then counts from when a write was due; 0: one after the other")
	f.BoolVar(&o.Preallocate, "preallocate", false, "give the file its blocks first")
	format := a.read(c)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		r, err := bench.SyncLoop(ctx, o)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, (*syncLoopResult)(r))
	}
	return c
}

// syncLoopResult prints a bench.SyncLoopResult.
type syncLoopResult bench.SyncLoopResult

// WriteTable prints a name and a value a line.
func (r *syncLoopResult) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w)
	t.Row("load", fmt.Sprintf("%d bytes and a sync, in %s", r.Size, r.Dir))
	latencyRow(t, "writes", r.WritesSec, r.Latency)
	return t.Flush()
}
