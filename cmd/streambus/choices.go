package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// choices adds a flag with any number of a few known values, which the shell completes.
func choices(c *cobra.Command, p *[]string, name, text string, values []string) {
	c.Flags().StringSliceVar(p, name, nil, text+": "+strings.Join(values, ", "))
	_ = c.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return cli.Complete(values, prefix), cobra.ShellCompDirectiveNoFileComp
	})
}

// exclusive is a usage error if more than one of some flags is given; cobra's own check of this is a failure like any other.
func exclusive(c *cobra.Command, flags ...string) error {
	var given []string
	for _, name := range flags {
		if c.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usage(c, fmt.Errorf("%s exclude each other", strings.Join(given, " and ")))
	}
	return nil
}
