package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newPartition(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "partition",
		Short: "Show partitions in depth and elect their leaders",
		Example: `  streambus partition list orders
  streambus partition describe orders:0
  streambus partition elect orders --type preferred
  streambus partition producers orders:0`,
	}
	c.AddCommand(newPartitionList(a), newPartitionDescribe(a), newPartitionElect(a), newPartitionProducers(a))
	group(c)
	return c
}

func newPartitionList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [TOPIC[:PARTITIONS]]...",
		Short: "List partitions with leader, replicas, offsets and size",
		Example: `  streambus partition list
  streambus partition list orders:0,3-5 payments -o json`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		selections, err := cli.ParseSelections(args)
		if err != nil {
			return nil, err
		}
		list, err := cli.DescribePartitions(ctx, a.target(), selections)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list, err
	})
}

func newPartitionDescribe(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "describe TOPIC[:PARTITIONS]...",
		Short: "Show all that the cluster tells of partitions",
		Long: `Shows leader, replicas, in-sync and eligible leader replicas, offsets (start, last stable offset, high watermark) and of each
replica whether it is in sync, what it lacks (lag, in records), where its log ends in memory or on disk (written) and where
it would end after a power cut (flushed), its size and its directory. - is what nobody told: Apache Kafka doesn't say where
a replica's log ends, so that its lag is only what it lacks of the high watermark that it knows of.`,
		Example: `  streambus partition describe orders:0
  streambus partition describe orders -o yaml`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		selections, err := cli.ParseSelections(args)
		if err != nil {
			return nil, err
		}
		list, err := cli.DescribePartitions(ctx, a.target(), selections)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return cli.PartitionDetails(list), err
	})
}

func newPartitionElect(a *app) *cobra.Command {
	var o cli.ElectLeadersOptions
	c := &cobra.Command{
		Use:   "elect TOPIC[:PARTITIONS]...",
		Short: "Elect the leaders of partitions",
		Long: `preferred makes the first replica the leader if it is in sync. unclean chooses any replica that lives where there is no
leader, and loses the records which that replica lacks: for good, and also for consumers that have read them. Start the
replicas that are missing if you can, and elect only when their data is gone.

--dry-run shows for each partition who would lead (NEXT) and why an election would fail, and changes nothing.`,
		Example: `  streambus partition elect orders --dry-run
  streambus partition elect --all
  streambus partition elect orders:0 --type unclean --dry-run
  streambus partition elect orders:0 --type unclean`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	choice(c, &o.Type, "type", "", cli.ElectionTypes[0], "how to elect", cli.ElectionTypes)
	c.Flags().BoolVar(&o.All, "all", false, "of every partition of the cluster")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only show what would change")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		var err error
		if o.Partitions, err = cli.ParseSelections(args); err != nil {
			return nil, err
		}
		if o.Type == "unclean" {
			fmt.Fprintln(a.err, "streambus: warning: "+cli.UncleanWarning)
		}
		list, err := cli.ElectLeaders(ctx, a.target(), o)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list, err
	})
}

func newPartitionProducers(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "producers TOPIC[:PARTITIONS]...",
		Short: "List the producers that partitions keep the state of",
		Example: `  streambus partition producers orders:0
  streambus partition producers orders -o json`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		selections, err := cli.ParseSelections(args)
		if err != nil {
			return nil, err
		}
		list, err := cli.ListProducers(ctx, a.target(), selections)
		if list == nil {
			return nil, err
		}
		return list, err
	})
}
