package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newConfigDescribe(a *app) *cobra.Command {
	var o cli.DescribeConfigsOptions
	c := &cobra.Command{
		Use:   "describe KIND [NAME]...",
		Short: "Show what is configured of topics, brokers, groups and client metrics",
		Long: `Shows the properties that differ from their defaults, and where each value comes from. KIND is topic, broker, broker-logger,
client-metrics or group; without a NAME all of the kind are shown. --default stands for all brokers together.`,
		Example: `  streambus config describe topic orders
  streambus config describe topic orders --all -v
  streambus config describe broker 1 -o json
  streambus config describe broker --default
  streambus config describe group billing`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.configResources(true),
	}
	c.Flags().BoolVar(&o.All, "all", false, "also properties that are as by default")
	c.Flags().BoolVarP(&o.Verbose, "verbose", "v", false, "with types, where values are looked for, and (as JSON and YAML) documentation")
	c.Flags().BoolVar(&o.Default, "default", false, "what is set for all brokers")
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		o.Kind, o.Names = args[0], args[1:]
		if len(o.Names) == 1 && o.Names[0] == "" {
			o.Names, o.Default = nil, true
		}
		list, err := cli.DescribeConfigs(ctx, a.target(), o)
		if len(list) == 0 && err != nil {
			return nil, err
		}
		return list, err
	})
}

// resourceFlag is how commands that change a configuration are told whose.
type resourceFlag struct{ all bool }

func (f *resourceFlag) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.all, "default", false, "of all brokers: leave out NAME")
}

// split takes KIND and NAME off the arguments.
func (f *resourceFlag) split(c *cobra.Command, args []string) (cli.ConfigResource, []string, error) {
	name, rest := "", args[1:]
	if !f.all {
		if len(rest) == 0 {
			return cli.ConfigResource{}, nil, usage(c, errors.New("argument missing: "+c.UseLine()))
		}
		name, rest = rest[0], rest[1:]
	}
	r, err := cli.ParseConfigResource(args[0], name)
	return r, rest, err
}

// configChange makes one of the commands that change properties.
func configChange(a *app, c *cobra.Command, op cli.ConfigOp) *cobra.Command {
	var f resourceFlag
	var dryRun bool
	f.add(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "let the broker check everything and change nothing")
	c.Args = takes(1, -1)
	c.ValidArgsFunction = a.configResources(false)
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		r, rest, err := f.split(c, args)
		if err == nil && len(rest) == 0 {
			err = usage(c, errors.New("argument missing: "+c.UseLine()))
		}
		if err != nil {
			return nil, err
		}
		changes, err := cli.ParseConfigChanges(op, rest)
		if err != nil {
			return nil, err
		}
		altered, err := cli.AlterConfigs(ctx, a.target(), cli.AlterConfigsOptions{Resource: r, Changes: changes, DryRun: dryRun})
		if err != nil {
			return nil, err
		}
		return altered, nil
	})
}

func newConfigSet(a *app) *cobra.Command {
	return configChange(a, &cobra.Command{
		Use:   "set KIND NAME KEY=VALUE...",
		Short: "Set properties of a topic, broker, group or of client metrics",
		Example: `  streambus config set topic orders retention.ms=86400000 cleanup.policy=compact
  streambus config set broker --default log.retention.ms=3600000 --dry-run
  streambus config set group billing consumer.session.timeout.ms=60000
  streambus config set client-metrics java interval.ms=5000 metrics=org.apache.kafka.producer.`,
	}, cli.ConfigSet)
}

func newConfigUnset(a *app) *cobra.Command {
	return configChange(a, &cobra.Command{
		Use:   "unset KIND NAME KEY...",
		Short: "Give properties their default back",
		Example: `  streambus config unset topic orders retention.ms
  streambus config unset broker --default log.retention.ms`,
	}, cli.ConfigUnset)
}

func newConfigAppend(a *app) *cobra.Command {
	return configChange(a, &cobra.Command{
		Use:     "append KIND NAME KEY=VALUE...",
		Short:   "Add values to properties that are lists",
		Example: "  streambus config append topic orders cleanup.policy=compact",
	}, cli.ConfigAppend)
}

func newConfigSubtract(a *app) *cobra.Command {
	return configChange(a, &cobra.Command{
		Use:     "subtract KIND NAME KEY=VALUE...",
		Short:   "Take values out of properties that are lists",
		Example: "  streambus config subtract topic orders cleanup.policy=delete",
	}, cli.ConfigSubtract)
}

func newConfigDiff(a *app) *cobra.Command {
	var f resourceFlag
	c := &cobra.Command{
		Use:   "diff KIND NAME [OTHER]",
		Short: "Compare a configuration with the defaults, or with another's",
		Example: `  streambus config diff topic orders
  streambus config diff topic orders payments
  streambus config diff broker 1 2 -o json`,
		Args:              takes(1, 3),
		ValidArgsFunction: a.configResources(true),
	}
	f.add(c)
	return a.answer(c, func(ctx context.Context, args []string) (cli.Printable, error) {
		r, rest, err := f.split(c, args)
		if err != nil {
			return nil, err
		}
		var other cli.ConfigResource
		if len(rest) > 0 {
			if other, err = cli.ParseConfigResource(args[0], rest[0]); err != nil {
				return nil, err
			}
		}
		if len(rest) > 1 {
			return nil, usage(c, errors.New("only two can be compared"))
		}
		diff, err := cli.DiffConfigs(ctx, a.target(), r, other)
		if err != nil {
			return nil, err
		}
		return diff, nil
	})
}

// configResources completes kinds, and then names of them.
func (a *app) configResources(many bool) completion {
	return func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return cli.Complete(cli.ConfigKinds, prefix), cobra.ShellCompDirectiveNoFileComp
		case len(args) > 1 && !many:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.ask(c, prefix, func(ctx context.Context, t cli.Target) ([]string, error) {
			return cli.ConfigNames(ctx, t, args[0])
		})
	}
}
