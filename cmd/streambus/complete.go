package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// completionTimeout is how long the shell waits for names that only the cluster knows.
const completionTimeout = 2 * time.Second

// completion is what cobra asks for names.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// ask completes names that the cluster is asked for; it never takes longer than completionTimeout and says nothing when
// it fails.
func (a *app) ask(c *cobra.Command, prefix string, names func(context.Context, cli.Target) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	if a.resolve(c) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	t := a.target()
	t.Timeout = completionTimeout
	type answer struct {
		list []string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		list, err := names(ctx, t)
		answered <- answer{list, err}
	}()
	select {
	case got := <-answered:
		if got.err == nil {
			return cli.Complete(got.list, prefix), cobra.ShellCompDirectiveNoFileComp
		}
	case <-ctx.Done(): // closing a client that waits for a broker can take longer than anyone does for the shell
	}
	return nil, cobra.ShellCompDirectiveError
}

// complete makes a completion of names that the cluster is asked for. With many false only the first argument is
// completed.
func (a *app) complete(many bool, names func(context.Context, cli.Target) ([]string, error)) completion {
	return func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.ask(c, prefix, names)
	}
}

// topicNames completes names of topics.
func (a *app) topicNames(many bool) completion {
	return a.complete(many, func(ctx context.Context, t cli.Target) ([]string, error) {
		list, err := cli.ListTopics(ctx, t, cli.ListTopicsOptions{})
		names := make([]string, len(list))
		for i, s := range list {
			names[i] = s.Name
		}
		return names, err
	})
}

// topicConfigs completes "key=" of a topic's properties.
func (a *app) topicConfigs(c *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.ask(c, prefix, func(ctx context.Context, t cli.Target) ([]string, error) {
		keys, err := cli.TopicConfigKeys(ctx, t, "")
		for i := range keys {
			keys[i] += "="
		}
		return keys, err
	})
}

// profileNames completes names of profiles.
func (a *app) profileNames(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	p, err := a.loadProfiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return cli.Complete(p.Names(), prefix), cobra.ShellCompDirectiveNoFileComp
}
