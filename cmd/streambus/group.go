package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newGroup(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "group",
		Short: "List, describe, reset and delete consumer groups",
		Example: `  streambus group list --state stable,empty
  streambus group describe billing
  streambus group reset-offsets billing --topic orders --to-earliest --execute
  streambus group delete billing`,
	}
	c.AddCommand(newGroupList(a), newGroupDescribe(a), newGroupResetOffsets(a), newGroupDelete(a), newGroupDeleteOffsets(a))
	group(c)
	return c
}

func newGroupList(a *app) *cobra.Command {
	var o cli.ListGroupsOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "List the groups",
		Example: `  streambus group list
  streambus group list --state stable,preparingrebalance
  streambus group list --type consumer -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	choices(c, &o.States, "state", "only groups in these states", cli.GroupStates)
	choices(c, &o.Types, "type", "only groups of these types", cli.GroupTypes)
	return a.answer(c, func(ctx context.Context, _ []string) (cli.Printable, error) {
		list, err := cli.ListGroups(ctx, a.target(), o)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list, err
	})
}

func newGroupDescribe(a *app) *cobra.Command {
	var o cli.DescribeGroupsOptions
	var offsets, members, state bool
	c := &cobra.Command{
		Use:   "describe GROUP...",
		Short: "Show offsets and lag, members or states of groups",
		Long: `Shows of each partition that a group has committed an offset of, or has assigned to a member, what is committed, where the
log ends and how many records lie between. The end is the high watermark. A - means that there is none.`,
		Example: `  streambus group describe billing
  streambus group describe --all --state
  streambus group describe billing --members -o json`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.groups(true),
	}
	f := c.Flags()
	f.BoolVar(&o.All, "all", false, "every group that has offsets of topics (classic and consumer)")
	f.BoolVar(&o.All, "all-groups", false, "the same as --all")
	f.BoolVar(&offsets, "offsets", false, "offsets and lag of each partition (the default)")
	f.BoolVar(&members, "members", false, "the members and what they are assigned")
	f.BoolVar(&state, "state", false, "state, assignor and coordinator, a group a line")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		if err := exclusive(c, "offsets", "members", "state"); err != nil {
			return nil, err
		}
		o.Groups, o.View = args, cli.GroupOffsets
		switch {
		case members:
			o.View = cli.GroupMembers
		case state:
			o.View = cli.GroupState
		}
		list, err := cli.DescribeGroups(ctx, a.target(), o)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list, err
	})
}

func newGroupDelete(a *app) *cobra.Command {
	var o cli.DeleteGroupsOptions
	c := &cobra.Command{
		Use:   "delete GROUP...",
		Short: "Delete groups without members, and their offsets",
		Example: `  streambus group delete billing
  streambus group delete billing audit --if-exists`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.groups(true),
	}
	c.Flags().BoolVar(&o.IfExists, "if-exists", false, "a group that does not exist is no error")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		o.Groups = args
		deleted, err := cli.DeleteGroups(ctx, a.target(), o)
		if deleted == nil {
			return nil, err
		}
		return deleted, err
	})
}

func newGroupDeleteOffsets(a *app) *cobra.Command {
	var topics []string
	c := &cobra.Command{
		Use:   "delete-offsets GROUP",
		Short: "Forget a group's offsets of topics that it doesn't read",
		Example: `  streambus group delete-offsets billing --topic orders
  streambus group delete-offsets billing --topic orders:0,2 --topic payments`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.groups(false),
	}
	a.topicFlag(c, &topics)
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		selections, err := cli.ParseSelections(topics)
		if err == nil && len(selections) == 0 {
			err = usage(c, errors.New("say which offsets by --topic"))
		}
		if err != nil {
			return nil, err
		}
		deleted, err := cli.DeleteGroupOffsets(ctx, a.target(), args[0], selections)
		if deleted == nil {
			return nil, err
		}
		return deleted, err
	})
}

func newGroupResetOffsets(a *app) *cobra.Command {
	var o cli.ResetOffsetsOptions
	var topics []string
	var dryRun, export bool
	c := &cobra.Command{
		Use:   "reset-offsets GROUP...",
		Short: "Move what groups without members have committed",
		Long: `Plans new offsets and, with --execute, commits them; without it nothing is changed. Flags and meaning are those of
kafka-consumer-groups --reset-offsets: an offset that the partition doesn't have becomes its nearest end, with a warning; no
record at or after a point in time means the end of the partition; a time without a zone is UTC.

A file has a line for each partition, TOPIC,PARTITION,OFFSET or GROUP,TOPIC,PARTITION,OFFSET, as --export writes it.`,
		Example: `  streambus group reset-offsets billing --topic orders --to-earliest
  streambus group reset-offsets billing --topic orders:0,3 --to-offset 1500 --execute
  streambus group reset-offsets billing --all-topics --to-datetime 2026-01-31T12:00:00.000 --execute
  streambus group reset-offsets billing --all-topics --by-duration PT15M --dry-run
  streambus group reset-offsets billing --all-topics --to-current --export > offsets.csv
  streambus group reset-offsets billing --from-file offsets.csv --execute`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.groups(true),
	}
	a.topicFlag(c, &topics)
	f := c.Flags()
	f.BoolVar(&o.AllTopics, "all-topics", false, "every partition that the group has committed an offset of")
	f.BoolVar(&o.AllGroups, "all-groups", false, "every classic and consumer group")
	resetFlags(c, &o.To)
	f.BoolVar(&o.Execute, "execute", false, "commit the new offsets")
	f.BoolVar(&dryRun, "dry-run", false, "only show the new offsets (the default)")
	f.BoolVar(&export, "export", false, "print the new offsets as CSV, to be read by --from-file")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		err := errors.Join(exclusive(c, "execute", "dry-run"), exclusive(c, "export", "output"))
		if err != nil {
			return nil, err
		}
		if o.Topics, err = cli.ParseSelections(topics); err != nil {
			return nil, err
		}
		o.Groups = args
		reset, err := cli.ResetOffsets(ctx, a.target(), o)
		if reset == nil {
			return nil, err
		}
		for _, w := range reset.Warnings() {
			fmt.Fprintln(a.err, "streambus: warning: "+w)
		}
		if !o.Execute && !dryRun {
			fmt.Fprintln(a.err, "streambus: nothing was changed: add --execute to commit these offsets")
		}
		if export {
			return reset.CSV(), err
		}
		return reset, err
	})
}

// resetFlags adds the scenarios, of which a reset has one.
func resetFlags(c *cobra.Command, to *cli.ResetTo) {
	f := c.Flags()
	f.BoolVar(&to.Earliest, "to-earliest", false, "to the start of each partition")
	f.BoolVar(&to.Latest, "to-latest", false, "to the end of each partition")
	f.BoolVar(&to.Current, "to-current", false, "to what is committed, or the end where nothing is")
	f.StringVar(&to.Offset, "to-offset", "", "to this offset")
	f.StringVar(&to.ShiftBy, "shift-by", "", "forwards by so many records, or backwards by -N")
	f.StringVar(&to.Datetime, "to-datetime", "", "to the first record at or after this time: YYYY-MM-DDTHH:mm:SS.sss, RFC 3339 or milliseconds")
	f.StringVar(&to.Duration, "by-duration", "", "to the first record of the last PnDTnHnMnS, or of the last 15m")
	f.StringVar(&to.File, "from-file", "", "to the offsets in this CSV file")
	_ = c.MarkFlagFilename("from-file", "csv")
}

// topicFlag adds --topic, which takes partitions too and may be repeated.
func (a *app) topicFlag(c *cobra.Command, topics *[]string) {
	c.Flags().StringArrayVar(topics, "topic", nil, "a topic, or some of its partitions as orders:0,3-5; may be repeated")
	_ = c.RegisterFlagCompletionFunc("topic", a.topicNames(true))
}

// groups completes names of groups.
func (a *app) groups(many bool) completion {
	return a.complete(many, func(ctx context.Context, t cli.Target) ([]string, error) {
		list, err := cli.ListGroups(ctx, t, cli.ListGroupsOptions{})
		names := make([]string, len(list))
		for i, g := range list {
			names[i] = g.Group
		}
		return names, err
	})
}
