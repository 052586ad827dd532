package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/log"
)

func newVerify(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check a data directory that no broker has open",
		Long: `Reads all that is in a data directory and checks it: checksums, order, and whether the index and the log agree. It
changes nothing. The exit code is 1 if anything was found; what a crash left unfinished at the end of the log is no
damage, the next start cuts it off.`,
		Example: `  streambus verify ./data
  streambus verify /var/lib/streambus -o json`,
		Args: takes(1, 1),
	}
	format := a.read(c)
	digests := c.Flags().Bool("digests", false, "print a checksum of each partition's records: replicas that hold the same have the same, after a clean stop")
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		if _, err := os.Stat(args[0]); err != nil {
			return err
		}
		fs := env.System().FS
		var bar *cli.Progress
		if f == cli.Table {
			bar = a.progress("B", dataSize(args[0]))
			fs = &watchedFS{fs, bar}
		}
		report, err := log.Verify(fs, args[0])
		bar.Done()
		if err != nil {
			return fmt.Errorf("verify %s: %w", args[0], err)
		}
		v := newVerified(args[0], report)
		if *digests {
			v.addDigests(report.Digests)
		}
		if err := cli.Print(a.out, f, v); err != nil {
			return err
		}
		if len(v.Problems) > 0 {
			return errSilent
		}
		return nil
	}
	return c
}

type verified struct {
	Directory   string   `json:"directory"`
	Files       int      `json:"files"`
	Frames      int      `json:"frames"`
	Batches     int      `json:"batches"`
	Entries     int      `json:"indexEntries"`
	Logs        int      `json:"logs"`
	Bytes       int64    `json:"bytes"`
	Torn        string   `json:"torn,omitempty"` // where the log ends, if a crash left something unfinished behind it
	Quarantined []string `json:"quarantined,omitempty"`
	Digests     []digest `json:"digests,omitempty"`
	Problems    []string `json:"problems"`
}

// digest is of the batches of one partition, from the first offset to the last.
type digest struct {
	Partition string `json:"partition"` // by its topic's id, for a directory knows no names
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Sum       string `json:"crc32c"`
}

func (v *verified) addDigests(of []log.Digest) {
	for _, d := range of {
		v.Digests = append(v.Digests, digest{d.Log.String(), int64(d.First), int64(d.Last), fmt.Sprintf("%08x", d.Sum)})
	}
}

func newVerified(dir string, r log.Report) *verified {
	v := &verified{
		Directory: dir, Files: r.Files, Frames: r.Frames, Batches: r.Batches, Entries: r.Entries, Logs: r.Logs, Bytes: r.Bytes,
		Torn: r.Torn, Problems: []string{},
	}
	for _, id := range r.Quarantined {
		v.Quarantined = append(v.Quarantined, id.String())
	}
	for _, p := range r.Problems {
		v.Problems = append(v.Problems, p.Error())
	}
	return v
}

// WriteTable prints each problem on a line, then what was read.
func (v *verified) WriteTable(w io.Writer) error {
	for _, p := range v.Problems {
		fmt.Fprintln(w, p)
	}
	if v.Torn != "" {
		fmt.Fprintf(w, "the log ends at %s; what a crash left behind it is cut off at the next start\n", v.Torn)
	}
	for _, id := range v.Quarantined {
		fmt.Fprintf(w, "in quarantine: %s\n", id)
	}
	for _, d := range v.Digests {
		fmt.Fprintf(w, "%s: %d to %d, %s\n", d.Partition, d.First, d.Last, d.Sum)
	}
	found := "no problems"
	if n := len(v.Problems); n > 0 {
		found = fmt.Sprintf("%d problems", n)
	}
	_, err := fmt.Fprintf(w, "%s: %s in %d files, %d frames, %d batches (%s) of %d partitions, %d index entries\n",
		v.Directory, found, v.Files, v.Frames, v.Batches, cli.FormatBytes(v.Bytes), v.Logs, v.Entries)
	return err
}
