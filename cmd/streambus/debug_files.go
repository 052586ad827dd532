package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/log"
)

func newDebugWAL(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "wal FILE",
		Short: "Print what lies in a file of the log",
		Long: `Prints the frames of a WAL file: record batches, by the ids of their topics, and control records. It changes nothing, and a
broker may be using the file. What is no intact frame is told as damage; at the end of the newest file that is what a
write or a crash has left unfinished. log/docs/format of the sources shows every byte.`,
		Example: `  streambus debug wal ./data/wal/0000000001.wal
  streambus debug wal ./data/wal/0000000001.wal --from 1048576 --limit 20 -o json`,
		Args: takes(1, 1),
	}
	from := c.Flags().Int64("from", 0, "position in the file to begin at: a frame's")
	limit := c.Flags().Int("limit", 0, "print so many frames at most; 0: all")
	format := a.read(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if *from < 0 || *limit < 0 {
			return usage(c, errors.New("--from and --limit can't be negative"))
		}
		if _, err := os.Stat(args[0]); err != nil {
			return err
		}
		d, err := log.DumpWAL(env.System().FS, args[0], *from, *limit)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, walDump{d})
	}
	return c
}

type walDump struct{ *log.WALDump }

// WriteTable prints a line for each batch and control record, and for each stretch of damage in its place.
func (d walDump) WriteTable(w io.Writer) error {
	if d.Header != "" {
		fmt.Fprintf(w, "the file does not begin as one: %s\n", d.Header)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POSITION\tSEQUENCE\tWHAT\tPARTITION\tOFFSETS\tEPOCH\tBYTES\tDETAIL")
	damage := d.Damage
	told := func(before int64) {
		for len(damage) > 0 && damage[0].Position < before {
			fmt.Fprintf(t, "%d\t\tdamage\t\t\t\t%d\t%s\n", damage[0].Position, damage[0].Length, damage[0].Problem)
			damage = damage[1:]
		}
	}
	for _, f := range d.Frames {
		told(f.Position)
		for _, b := range f.Batches {
			detail := fmt.Sprintf("%d records, %s, max timestamp %d", b.Records, b.Codec, b.MaxTimestamp)
			if b.ProducerID >= 0 {
				detail += fmt.Sprintf(", producer %d epoch %d sequence %d", b.ProducerID, b.ProducerEpoch, b.FirstSequence)
			}
			if b.Transactional {
				detail += ", transactional"
			}
			if b.Control {
				detail += ", marker"
			}
			fmt.Fprintf(t, "%d\t%d\tbatch\t%s\t%d-%d\t%d\t%d\t%s\n", b.Position, f.Sequence, f.Partition, b.First, b.Last, f.Epoch, b.Length, detail)
		}
		for _, c := range f.Control {
			fmt.Fprintf(t, "%d\t%d\t%s\t%s\t\t\t\t%s\n", f.Position, f.Sequence, c.Kind, c.Partition, c.Value)
		}
	}
	told(d.Size)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %d frames up to %d of %d bytes, %d damaged places\n", d.File, len(d.Frames), d.End, d.Size, len(d.Damage))
	return err
}

func newDebugIndex(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "index DIR",
		Short: "Print the index of a data directory that no broker has open",
		Long: `Prints every key of a data directory's index, with what it holds. It changes nothing. log/docs/format/index.md of the
sources says what the kinds mean.`,
		Example: `  streambus debug index ./data
  streambus debug index /var/lib/streambus --limit 100 -o json`,
		Args: takes(1, 1),
	}
	limit := c.Flags().Int("limit", 0, "print so many keys at most; 0: all")
	format := a.read(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if *limit < 0 {
			return usage(c, errors.New("--limit can't be negative"))
		}
		if _, err := os.Stat(args[0]); err != nil {
			return err
		}
		keys, err := log.DumpIndex(env.System().FS, args[0], *limit)
		if err != nil {
			return fmt.Errorf("index of %s: %w", args[0], err)
		}
		return cli.Print(a.out, f, indexDump{keys})
	}
	return c
}

type indexDump struct {
	Keys []log.IndexKey `json:"keys"`
}

// WriteTable prints a line for each key.
func (d indexDump) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tPARTITION\tLAST OFFSET\tVALUE")
	for _, k := range d.Keys {
		last := ""
		if k.Last != nil {
			last = fmt.Sprint(*k.Last)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.Kind, k.Partition, last, k.Value)
	}
	return t.Flush()
}
