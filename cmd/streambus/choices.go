package main

import (
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
