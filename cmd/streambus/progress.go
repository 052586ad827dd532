package main

import "github.com/streambus/streambus/cli"

// progress begins to tell about long work on standard error: on a terminal a bar, else a line now and then. It is for
// output meant for people; with -o json or yaml there is none, nor while records are printed to the same terminal.
func (a *app) progress(unit string, total int64) *cli.Progress {
	return cli.NewProgress(a.err, unit, total)
}
