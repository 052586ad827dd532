package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newCluster(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Show the cluster as a whole",
		Example: `  streambus cluster describe
  streambus cluster describe --partitions -o json`,
	}
	c.AddCommand(newClusterDescribe(a))
	group(c)
	return c
}

func newClusterDescribe(a *app) *cobra.Command {
	var o cli.DescribeClusterOptions
	c := &cobra.Command{
		Use:   "describe",
		Short: "Show nodes, the metadata quorum and how many partitions are in trouble",
		Long: `Shows the cluster's id, its active controller, the members of the metadata quorum (who votes, what each lacks of the leader's
log, when it last had all of it), the nodes with what they lead and hold, and how many partitions have no leader, fewer
replicas in sync than min.insync.replicas demands, replicas that are not in sync, or another leader than their first replica.

States of a node: up; fenced (registered, and given to no client, because it stopped or is not heard); silent (the cluster
counts on it, and it does not answer from here); missing (it has replicas and is not known to the cluster); unknown (a
controller that is no broker). The exit code is 1 if something could not be asked for; what could be is printed.`,
		Example: `  streambus cluster describe
  streambus cluster describe --partitions
  streambus cluster describe -b 127.0.0.1:9092,127.0.0.1:9192 -o yaml`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().BoolVar(&o.Partitions, "partitions", false, "also list the partitions that are in trouble")
	return a.answer(c, func(ctx context.Context, _ []string) (cli.Printable, error) {
		described, err := cli.DescribeCluster(ctx, a.target(), o)
		if described == nil {
			return nil, err
		}
		return described, err
	})
}
