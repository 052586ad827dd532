package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newTopicAlter(a *app) *cobra.Command {
	var o cli.AlterTopicOptions
	c := &cobra.Command{
		Use:   "alter NAME",
		Short: "Add partitions to a topic, and change its properties",
		Example: `  streambus topic alter orders --partitions 24
  streambus topic alter orders --config retention.ms=86400000 --delete-config cleanup.policy --dry-run`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.topicNames(false),
	}
	f := c.Flags()
	f.Int32Var(&o.Partitions, "partitions", 0, "the new number of partitions, more than it has")
	f.StringArrayVar(&o.Configs, "config", nil, "a property to set, key=value; may be repeated")
	f.StringArrayVar(&o.DeleteConfigs, "delete-config", nil, "a property that gets its default back; may be repeated")
	f.BoolVar(&o.DryRun, "dry-run", false, "let the broker check everything and change nothing")
	_ = c.RegisterFlagCompletionFunc("config", a.topicConfigs)
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		o.Name = args[0]
		if f.Changed("partitions") && o.Partitions < 1 {
			return nil, usage(c, errors.New("--partitions is at least 1"))
		}
		altered, err := cli.AlterTopic(ctx, a.target(), o)
		if err != nil {
			return nil, err
		}
		return altered, nil
	})
}

func newTopicDeleteRecords(a *app) *cobra.Command {
	var o cli.DeleteRecordsOptions
	var offsets []string
	var before string
	c := &cobra.Command{
		Use:   "delete-records NAME",
		Short: "Delete the oldest records of a topic",
		Example: `  streambus topic delete-records orders --offset 0:1500 --offset 1:end
  streambus topic delete-records orders --before 2026-01-31T00:00:00Z --dry-run
  streambus topic delete-records orders --before 24h`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.topicNames(false),
	}
	f := c.Flags()
	f.StringSliceVar(&offsets, "offset", nil, "PARTITION:OFFSET: up to, not including, this offset; -1 or end is all there is; may be repeated")
	f.StringVar(&before, "before", "", "up to the first record of this time or later, in all partitions: RFC 3339, milliseconds, or a duration ago as 15m")
	f.BoolVar(&o.DryRun, "dry-run", false, "only show what would go")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		var err error
		o.Topic = args[0]
		if o.Offsets, err = cli.ParseDeleteOffsets(offsets); err != nil {
			return nil, err
		}
		if before != "" {
			if o.Before, err = cli.ParseBefore(before, time.Now()); err != nil {
				return nil, err
			}
		}
		deleted, err := cli.DeleteRecords(ctx, a.target(), o)
		if deleted == nil {
			return nil, err
		}
		return deleted, err
	})
}
