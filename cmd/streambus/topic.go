package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newTopic(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "topic",
		Short: "Create, list, describe, alter and delete topics",
		Example: `  streambus topic create orders --partitions 12 --config retention.ms=86400000
  streambus topic list
  streambus topic describe orders -o json
  streambus topic alter orders --partitions 24
  streambus topic delete orders`,
	}
	c.AddCommand(newTopicCreate(a), newTopicList(a), newTopicDescribe(a), newTopicAlter(a), newTopicDelete(a), newTopicDeleteRecords(a))
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
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		o.Name = args[0]
		created, err := cli.CreateTopic(ctx, a.target(), o)
		if err != nil {
			return nil, err
		}
		return created, nil
	})
}

func newTopicList(a *app) *cobra.Command {
	var o cli.ListTopicsOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "List the topics",
		Example: `  streambus topic list
  streambus topic list --topic 'orders.*'
  streambus topic list --internal -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().BoolVar(&o.Internal, "internal", false, "also the cluster's own topics")
	c.Flags().StringVar(&o.Pattern, "topic", "", "only topics whose whole name matches this regular expression")
	_ = c.RegisterFlagCompletionFunc("topic", a.topicNames(true))
	return a.answer(c, func(ctx context.Context, _ []string) (cli.Printable, error) {
		list, err := cli.ListTopics(ctx, a.target(), o)
		if err != nil {
			return nil, err
		}
		return list, nil
	})
}

func newTopicDescribe(a *app) *cobra.Command {
	var f cli.TopicFilter
	c := &cobra.Command{
		Use:   "describe [NAME]...",
		Short: "Show partitions, leaders, replicas and offsets of topics",
		Example: `  streambus topic describe orders
  streambus topic describe --under-replicated-partitions
  streambus topic describe -o yaml`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	c.Flags().BoolVar(&f.UnderReplicated, "under-replicated-partitions", false, "only partitions with replicas that are not in sync")
	c.Flags().BoolVar(&f.Unavailable, "unavailable-partitions", false, "only partitions without a leader")
	c.Flags().BoolVar(&f.WithOverrides, "topics-with-overrides", false, "only topics with properties of their own")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		list, err := cli.DescribeTopics(ctx, a.target(), args)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list.Filter(f), err
	})
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
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		o.Names = args
		deleted, err := cli.DeleteTopics(ctx, a.target(), o)
		if deleted == nil {
			return nil, err
		}
		return deleted, err
	})
}
