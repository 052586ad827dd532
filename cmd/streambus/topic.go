package main

import (
	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newTopic(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "topic",
		Short: "Create, list, describe and delete topics",
		Example: `  streambus topic create orders --partitions 12 --config retention.ms=86400000
  streambus topic list
  streambus topic describe orders -o json
  streambus topic delete orders`,
	}
	c.AddCommand(newTopicCreate(a), newTopicList(a), newTopicDescribe(a), newTopicDelete(a))
	group(c)
	return c
}

func newTopicCreate(a *app) *cobra.Command {
	var o cli.CreateTopicOptions
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a topic",
		Example: `  streambus topic create orders
  streambus topic create orders --partitions 12 --replication-factor 3 --config cleanup.policy=compact
  streambus topic create orders --replica-assignment 1:2,2:3 --if-not-exists`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.Int32Var(&o.Partitions, "partitions", -1, "number of partitions; -1: the broker's num.partitions")
	f.Int16Var(&o.ReplicationFactor, "replication-factor", -1, "replicas of each partition; -1: the broker's default.replication.factor")
	f.StringArrayVar(&o.Configs, "config", nil, "a property of the topic, key=value; may be repeated")
	f.StringVar(&o.Assignment, "replica-assignment", "", "broker ids of each partition's replicas: 1:2,2:3")
	f.BoolVar(&o.IfNotExists, "if-not-exists", false, "a topic that exists is no error")
	f.BoolVar(&o.DryRun, "dry-run", false, "let the broker check everything and create nothing")
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		o.Name = args[0]
		ctx, stop := interruptible()
		defer stop()
		created, err := cli.CreateTopic(ctx, a.target(), o)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, created)
	}
	return c
}

func newTopicList(a *app) *cobra.Command {
	var o cli.ListTopicsOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "List the topics",
		Example: `  streambus topic list
  streambus topic list --internal -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().BoolVar(&o.Internal, "internal", false, "also the cluster's own topics")
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		list, err := cli.ListTopics(ctx, a.target(), o)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, list)
	}
	return c
}

func newTopicDescribe(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "describe [NAME]...",
		Short: "Show partitions, leaders, replicas and offsets of topics",
		Example: `  streambus topic describe orders
  streambus topic describe -o yaml`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		list, err := cli.DescribeTopics(ctx, a.target(), args)
		if len(list) == 0 && err != nil {
			return err
		}
		if e := cli.Print(a.out, f, list); e != nil {
			return e
		}
		return err
	}
	return c
}

func newTopicDelete(a *app) *cobra.Command {
	var o cli.DeleteTopicsOptions
	c := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete topics and what is in them",
		Example: `  streambus topic delete orders
  streambus topic delete orders payments --if-exists`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	c.Flags().BoolVar(&o.IfExists, "if-exists", false, "a topic that does not exist is no error")
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		o.Names = args
		ctx, stop := interruptible()
		defer stop()
		deleted, err := cli.DeleteTopics(ctx, a.target(), o)
		if deleted == nil {
			return err
		}
		if e := cli.Print(a.out, f, deleted); e != nil {
			return e
		}
		return err
	}
	return c
}
