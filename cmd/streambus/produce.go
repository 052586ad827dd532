package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newProduce(a *app) *cobra.Command {
	o := cli.NewProduceOptions("")
	var file, input string
	var report bool
	c := &cobra.Command{
		Use:   "produce [TOPIC]",
		Short: "Write records to a topic, a line each",
		Long: `Reads records from standard input, or from a file, and writes them to a topic. How many were written, and what
failed, is said on standard error (on standard output with -o json or yaml); if any record failed, the exit code is 1.

With --format json each record is an object, as consume -o json prints it:
  {"partition":0, "key":"k", "value":"v", "headers":[{"key":"h","value":"x"}], "timestamp":1700000000000}
All fields may be left out; a record's own topic counts if none is named here; "valueEncoding":"base64" (keyEncoding, a header's encoding) marks bytes that are no text.`,
		Example: `  echo 'hello' | streambus produce orders
  streambus produce orders --file orders.txt --key-separator : --compression zstd
  streambus consume orders --until-end -o json | streambus produce copy --format json --acks all
  printf 'a\nb\n' | streambus produce orders --partition 3 --header source=test`,
		Args:              takes(0, 1),
		ValidArgsFunction: a.topicNames(false),
	}
	f := c.Flags()
	f.StringVarP(&file, "file", "f", "-", "what to read; -: standard input")
	choice(c, &input, "format", "", string(cli.InputLine), "how the input is read", cli.InputFormats)
	f.StringVarP(&o.KeySeparator, "key-separator", "K", "", "what stands between key and value of a line; a line without it has no key")
	f.StringVarP(&o.Key, "key", "k", "", "a key for records that bring none")
	f.StringArrayVarP(&o.Headers, "header", "H", nil, "a header of every record, name=value; may be repeated")
	f.BoolVarP(&o.EmptyAsNull, "null", "Z", false, "an empty key or value is a null (a null value deletes its key in a compacted topic)")
	f.Int32VarP(&o.Partition, "partition", "p", -1, "write to this partition; -1: as the partitioner says")
	choice(c, &o.Partitioner, "partitioner", "", o.Partitioner, "which partition a record goes to", cli.Partitioners)
	choice(c, &o.Compression, "compression", "z", o.Compression, "how batches are compressed", cli.Compressions)
	choice(c, &o.Acks, "acks", "", o.Acks, "which replicas must have a record", cli.AcksValues)
	f.BoolVar(&o.Idempotence, "idempotence", true, "let the broker drop what a retry doubles; off unless --acks is all")
	f.DurationVar(&o.Linger, "linger", o.Linger, "how long a record waits for company")
	f.Int32Var(&o.BatchBytes, "batch-bytes", o.BatchBytes, "size of a batch at most")
	f.DurationVar(&o.Timeout, "delivery-timeout", o.Timeout, "when a record that is not acknowledged counts as failed")
	f.BoolVar(&report, "offsets", false, "also print a JSON line for each record, with its partition and offset")
	a.cluster(c)
	format := a.read(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		o.Input = cli.InputFormat(input)
		if len(args) > 0 {
			o.Topic = args[0]
		}
		o.HasKey = c.Flags().Changed("key")
		if !c.Flags().Changed("idempotence") && o.Acks != "all" {
			o.Idempotence = false
		}
		if report {
			enc := json.NewEncoder(a.out)
			o.PerRecord = func(r cli.ProducedRecord) { _ = enc.Encode(r) }
		}
		return a.produce(o, file, f)
	}
	return c
}

func (a *app) produce(o cli.ProduceOptions, file string, f cli.Format) error {
	in, done, err := a.input(file)
	if err != nil {
		return err
	}
	defer done()
	var bar *cli.Progress
	if file != "-" && f == cli.Table && o.PerRecord == nil {
		bar = a.progress("B", fileSize(file))
		in = bar.Reader(in)
	}
	ctx, stop := interruptible()
	defer stop()
	summary, err := cli.Produce(ctx, a.target(), o, in)
	bar.Done()
	if summary == nil {
		return err
	}
	out := a.out
	if f == cli.Table {
		out = a.err
	}
	err = errors.Join(err, cli.Print(out, f, summary))
	for _, text := range summary.Errors {
		fmt.Fprintln(a.err, "streambus: "+text)
	}
	if summary.Failed > 0 {
		err = errors.Join(err, errSilent)
	}
	return err
}

func (a *app) input(file string) (io.Reader, func(), error) {
	if file == "-" {
		return a.in, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil
}

// fileSize is 0 for what has none to tell: a pipe, a device.
func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}
