package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// Exit codes of every command.
const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

// stdio is what a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is what the commands share.
type app struct {
	stdio
	bootstrap  []string
	timeout    time.Duration
	connection connection
	signals    chan os.Signal // of serve
}

// errSilent ends a command with exit code 1 when it has said why itself.
var errSilent = errors.New("failed")

// run is the whole program: it returns the exit code.
func run(args []string, io stdio) int {
	root := newRoot(&app{stdio: io, signals: make(chan os.Signal, 2)})
	root.SetArgs(args)
	return exitCode(root.Execute(), io.err)
}

// exitCode prints err, one line for each error joined in it.
func exitCode(err error, w io.Writer) int {
	if err == nil {
		return exitClean
	}
	for _, e := range unjoin(err) {
		if !errors.Is(e, errSilent) {
			fmt.Fprintln(w, "streambus: "+cli.Explain(e))
		}
	}
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// unjoin takes apart what errors.Join put together.
func unjoin(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "streambus",
		Short: "A Kafka-compatible broker and its command line",
		Long: `StreamBus is a broker that speaks Kafka's protocol, and the commands to work with it.
The commands speak nothing but that protocol, so they work on Apache Kafka as well.

Where the cluster is and how to log in say -b and the flags of TLS and SASL, or a profile (streambus profile --help).
The shell completes commands, flags and the names of topics, groups, properties and profiles once it has been told to:
streambus completion bash --help (or zsh, fish, powershell) says how.`,
		Example: `  streambus serve
  streambus topic create orders --partitions 12
  echo 'hello' | streambus produce orders
  streambus consume orders --offset earliest --until-end`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.resolve(c) },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	root.AddCommand(
		newServe(a), newConfig(a), newCluster(a), newTopic(a), newPartition(a), newGroup(a), newProduce(a), newConsume(a), newBench(a), newDoctor(a), newVerify(a), newProfile(a), newDebug(a), newVersion(a),
	)
	group(root)
	return root
}

// usage makes err a usage error that says where help is.
func usage(c *cobra.Command, err error) error {
	return &cli.UsageError{Err: fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
}

// group makes a command that only has others below it say so: cobra would print its help and call that a success.
func group(c *cobra.Command) {
	c.Args = func(*cobra.Command, []string) error { return nil }
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		err := fmt.Errorf("unknown command %q", args[0])
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
		}
		return usage(c, err)
	}
}

// takes checks the number of arguments; most < 0 is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(c, fmt.Errorf("argument missing: %s", c.UseLine()))
		case most >= 0 && len(args) > most:
			return usage(c, fmt.Errorf("unexpected argument %q", args[most]))
		}
		return nil
	}
}

// output adds -o.
func (a *app) output(c *cobra.Command, def cli.Format, allowed ...cli.Format) func() (cli.Format, error) {
	names := make([]string, len(allowed))
	for i, f := range allowed {
		names[i] = string(f)
	}
	var value string
	choice(c, &value, "output", "o", string(def), "how to print", names)
	return func() (cli.Format, error) { return cli.ParseFormat(value, allowed...) }
}

// read adds -o as every read command has it.
func (a *app) read(c *cobra.Command) func() (cli.Format, error) {
	return a.output(c, cli.Table, cli.Table, cli.JSON, cli.YAML)
}

// answer finishes a command that asks the cluster one thing: it adds -b and -o and prints what came, also where a part of it
// failed. ask returns nil with an error if there is nothing to print.
func (a *app) answer(c *cobra.Command, ask func(ctx context.Context, args []string) (cli.Printable, error)) *cobra.Command {
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		answer, err := ask(ctx, args)
		if answer == nil {
			return err
		}
		if e := cli.Print(a.out, f, answer); e != nil {
			return e
		}
		return err
	}
	return c
}

// choice adds a flag with a few known values, which the shell completes.
func choice(c *cobra.Command, p *string, name, short, def, text string, values []string) {
	c.Flags().StringVarP(p, name, short, def, text+": "+strings.Join(values, ", "))
	// The only error is a flag that does not exist, which the line above rules out.
	_ = c.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return cli.Complete(values, prefix), cobra.ShellCompDirectiveNoFileComp
	})
}

// interruptible is a context that the first interrupt ends; a second one ends the process as usual.
func interruptible() (context.Context, func()) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
