package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/cli/debug"
)

func newDebug(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "debug",
		Short: "Send any request, show versions, error codes and what lies in files",
		Example: `  streambus debug request Metadata
  streambus debug versions
  streambus debug errors 27
  streambus debug wal ./data/wal/0000000001.wal`,
	}
	c.AddCommand(newDebugRequest(a), newDebugVersions(a), newDebugErrors(a), newDebugWAL(a), newDebugIndex(a))
	group(c)
	return c
}

// debugRequest are the flags of debug request.
type debugRequest struct {
	version        int16
	broker         int32
	list, template bool
}

func newDebugRequest(a *app) *cobra.Command {
	var o debugRequest
	c := &cobra.Command{
		Use:   "request NAME|KEY [JSON|@FILE|-]",
		Short: "Send a request written as JSON, print the answer",
		Long: `Sends one request and prints its answer as it came. What the JSON does not name keeps the protocol's default; without
JSON all does. Fields are called as in --template: the names of kmsg with a small first letter, in whatever case, with
Ms for Millis. Bytes are base64, hex:... or text:...; uuids are base64 or hex. Numbers of enumerations may be names,
as "resourceType":"topic". "unknownTags":{"7":"..."} adds tagged fields.

The request goes where a client would send it: to the coordinator of its first group or transactional id, to the leader
of its first partition, to the broker whose configuration it is about, to the controller, else to the first bootstrap
address; --broker sends it elsewhere. It is sent in the newest version that both sides know, or in --api-version, also
if the broker doesn't serve that. What was sent where is said on standard error. Nothing is sent twice.`,
		Example: `  streambus debug request Metadata '{"topics":[{"topic":"orders"}]}'
  streambus debug request DescribeConfigs '{"resources":[{"resourceType":"topic","resourceName":"orders"}]}' -o table
  streambus debug request 3 --api-version 1 --broker 2
  streambus debug request OffsetCommit @commit.json
  streambus debug request JoinGroup --template
  streambus debug request Fetch --template -o table
  streambus debug request --list`,
		Args:              takes(0, 2),
		ValidArgsFunction: completeAPIs,
	}
	f := c.Flags()
	f.Int16Var(&o.version, "api-version", -1, "version of the request; -1: the newest that both sides know")
	f.Int32Var(&o.broker, "broker", -1, "id of the broker to send it to; -1: the right one")
	f.BoolVar(&o.list, "list", false, "list all requests, with the versions of both sides")
	f.BoolVar(&o.template, "template", false, "print an empty request and send nothing; -o table lists fields, types and versions")
	a.cluster(c)
	format := a.output(c, cli.JSON, cli.Table, cli.JSON, cli.YAML)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if o.list && !c.Flags().Changed("output") {
			f = cli.Table
		}
		ctx, stop := interruptible()
		defer stop()
		answer, err := a.debug(ctx, c, o, args)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, answer)
	}
	return c
}

func (a *app) debug(ctx context.Context, c *cobra.Command, o debugRequest, args []string) (cli.Printable, error) {
	version, broker := &o.version, &o.broker
	if !c.Flags().Changed("api-version") {
		version = nil
	}
	if !c.Flags().Changed("broker") {
		broker = nil
	}
	switch {
	case o.list && len(args) > 0, o.list && o.template:
		return nil, usage(c, errors.New("--list is for all requests"))
	case o.list:
		return debug.Versions(ctx, a.target(), broker, true)
	case len(args) == 0:
		return nil, usage(c, fmt.Errorf("argument missing: %s", c.UseLine()))
	case o.template:
		return debug.NewTemplate(args[0], version)
	}
	r := debug.RequestOptions{API: args[0], Version: version, Broker: broker}
	if len(args) > 1 {
		body, err := a.body(args[1])
		if err != nil {
			return nil, err
		}
		r.Body = body
	}
	answer, err := debug.Request(ctx, a.target(), r)
	if err != nil {
		return nil, err
	}
	for _, w := range answer.Warnings {
		fmt.Fprintln(a.err, "streambus: warning: "+w)
	}
	fmt.Fprintln(a.err, answer.Summary())
	return answer, nil
}

// body is what an argument stands for: itself, the content of @FILE, or standard input.
func (a *app) body(arg string) ([]byte, error) {
	if arg == "-" {
		return io.ReadAll(a.in)
	}
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		return os.ReadFile(name)
	}
	return []byte(arg), nil
}

func completeAPIs(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cli.Complete(debug.Names(), prefix), cobra.ShellCompDirectiveNoFileComp
}

func newDebugVersions(a *app) *cobra.Command {
	var broker int32
	c := &cobra.Command{
		Use:   "versions",
		Short: "Show the requests and features a broker serves",
		Example: `  streambus debug versions
  streambus debug versions --broker 2 -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().Int32Var(&broker, "broker", -1, "id of the broker; -1: the first bootstrap address")
	return a.answer(c, func(ctx context.Context, _ []string) (cli.Printable, error) {
		id := &broker
		if !c.Flags().Changed("broker") {
			id = nil
		}
		table, err := debug.Versions(ctx, a.target(), id, false)
		if err != nil {
			return nil, err
		}
		return table, nil
	})
}

func newDebugErrors(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "errors [CODE|NAME]...",
		Short: "Show Kafka's error codes and what they mean",
		Example: `  streambus debug errors
  streambus debug errors 27 NOT_LEADER_OR_FOLLOWER
  streambus debug errors coordinator`,
		Args: takes(0, -1),
		ValidArgsFunction: func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			all, _ := debug.Errors(nil) // none asked for, none can be missing
			names := make([]string, len(all))
			for i, e := range all {
				names[i] = e.Name
			}
			return cli.Complete(names, strings.ToUpper(prefix)), cobra.ShellCompDirectiveNoFileComp
		},
	}
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		table, err := debug.Errors(args)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, table)
	}
	return c
}
