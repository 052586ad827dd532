package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// consumeFlags are those that need reading before they are options.
type consumeFlags struct {
	partitions                                         []string
	offset, since, isolation, keyEncoding, valEncoding string
	member                                             cli.ConsumeGroupOptions
}

var isolations = []string{"read_uncommitted", "read_committed"}

func newConsume(a *app) *cobra.Command {
	o := cli.NewConsumeOptions("")
	var flags consumeFlags
	c := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Read records of a topic, or of several as a member of a group",
		Long: `Reads a topic from its start, or from where a flag says, and prints each record; without --until-end or --count it
waits for more until it is interrupted.

With --group it joins a consumer group, goes on where the group has committed, and begins at --offset (earliest, latest) or
--timestamp elsewhere. What was printed is committed as it goes and at the end, when it also leaves the group.

What --format prints for a record:
  %s value      %S its length (-1: null)   %R its length as 4 bytes
  %k key        %K its length (-1: null)   %h headers, name=value,...
  %t topic      %p partition               %o offset
  %T timestamp in ms                       %e leader epoch
  \n \r \t \0 \\ \xNN as in C              %% a percent sign`,
		Example: `  streambus consume orders
  streambus consume orders --offset -10 --until-end
  streambus consume orders --partition 0,3-5 --offset 1500 --count 20
  streambus consume orders --since 15m --until-end -o json
  streambus consume orders --timestamp 2026-01-31T12:00:00Z --format '%p:%o %k=%s\n'
  streambus consume orders payments --group billing --count 100
  streambus consume orders --group billing --offset latest --instance-id worker-1 --no-commit`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.topicNames(true),
	}
	flags.add(c)
	f := c.Flags()
	f.StringSliceVarP(&flags.partitions, "partition", "p", nil, "partitions to read, as 0,3-5; all if left out")
	f.StringVarP(&flags.offset, "offset", "O", "earliest", "where to begin: earliest, latest, an offset, or -N for N before the end")
	f.StringVar(&flags.since, "timestamp", "", "begin with records of this time: RFC 3339, milliseconds, or a duration ago as 15m")
	f.StringVar(&flags.since, "since", "", "the same as --timestamp")
	f.BoolVarP(&o.UntilEnd, "until-end", "e", false, "stop at what is the end when the command starts")
	f.Int64VarP(&o.Count, "count", "n", 0, "stop after so many records; 0: never")
	f.StringVarP(&o.Template, "format", "f", o.Template, "what to print for a record, see above")
	choice(c, &flags.keyEncoding, "key-encoding", "", string(cli.String), "how keys are printed", cli.Encodings)
	choice(c, &flags.valEncoding, "value-encoding", "", string(cli.String), "how values are printed", cli.Encodings)
	choice(c, &flags.isolation, "isolation-level", "", isolations[0], "whether records of open and aborted transactions are read", isolations)
	a.cluster(c)
	format := a.output(c, cli.Text, cli.Text, cli.Table, cli.JSON, cli.YAML)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Output, err = format(); err != nil {
			return err
		}
		o.Topic = args[0]
		if err := flags.read(c, &o); err != nil {
			return err
		}
		if err := flags.checkGroup(c, args); err != nil {
			return err
		}
		if o.Count > 0 && o.Output == cli.Text && !cli.IsTerminal(a.out) {
			o.Progress = a.progress("records", o.Count)
			defer o.Progress.Done()
		}
		ctx, stop := interruptible()
		defer stop()
		if flags.member.Group != "" {
			flags.member.ConsumeOptions, flags.member.Topics = o, args
			_, err = cli.ConsumeGroup(ctx, a.target(), flags.member, a.out)
			return err
		}
		_, err = cli.Consume(ctx, a.target(), o, a.out)
		return err
	}
	return c
}

// add binds what is for members of groups.
func (flags *consumeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&flags.member.Group, "group", "g", "", "read as a member of this consumer group")
	f.StringVar(&flags.member.InstanceID, "instance-id", "", "be this static member of the group (group.instance.id)")
	choice(c, &flags.member.Assignor, "assignor", "", cli.Assignors[0], "how the group shares partitions out", cli.Assignors)
	f.BoolVar(&flags.member.NoCommit, "no-commit", false, "commit nothing")
}

// checkGroup refuses what means something only with, or only without, --group.
func (flags *consumeFlags) checkGroup(c *cobra.Command, topics []string) error {
	if c.Flags().Changed("group") {
		if flags.member.Group == "" {
			return usage(c, errors.New("--group is empty"))
		}
		return exclusive(c, "group", "partition")
	}
	for _, name := range []string{"instance-id", "assignor", "no-commit"} {
		if c.Flags().Changed(name) {
			return usage(c, fmt.Errorf("--%s is for members of a --group", name))
		}
	}
	if len(topics) > 1 {
		return usage(c, errors.New("several topics are for members of a --group"))
	}
	return nil
}

func (flags *consumeFlags) read(c *cobra.Command, o *cli.ConsumeOptions) (err error) {
	if o.Partitions, err = cli.ParsePartitions(flags.partitions); err != nil {
		return err
	}
	if o.Start, err = cli.ParseStart(flags.offset); err != nil {
		return err
	}
	if flags.since != "" {
		if c.Flags().Changed("offset") {
			return usage(c, errors.New("--offset and --timestamp exclude each other"))
		}
		if o.Start, err = cli.StartAtTime(flags.since, time.Now()); err != nil {
			return err
		}
	}
	if o.KeyEncoding, err = cli.ParseEncoding(flags.keyEncoding); err != nil {
		return err
	}
	if o.ValueEncoding, err = cli.ParseEncoding(flags.valEncoding); err != nil {
		return err
	}
	switch flags.isolation {
	case "read_committed":
		o.ReadCommitted = true
	case "read_uncommitted":
	default:
		return usage(c, errors.New("--isolation-level is read_uncommitted or read_committed"))
	}
	if c.Flags().Changed("format") && o.Output != cli.Text {
		return usage(c, errors.New("--format is for -o text alone"))
	}
	return nil
}
