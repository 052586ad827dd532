// Command streambus is the server and its command line in one binary: it binds flags to package node (serve), to
// package cli (topic, partition, group, config, produce, consume, ...), to package bench and to package log (verify).
//
// It decides nothing that a test would want to import: every command parses its flags, calls one function and turns the
// error into an exit code (0 clean, 1 failed, 2 usage). Read root.go first, then serve.go.
package main

import (
	"os"

	"github.com/streambus/streambus/internal/wakeful"
)

func main() {
	if runsLong(os.Args[1:]) {
		wakeful.Relaunch()
	}
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// runsLong says whether args are of a command that serves or measures: those have a monitor thread that pays.
func runsLong(args []string) bool {
	c, _, err := newRoot(&app{}).Find(args)
	for ; err == nil && c != nil; c = c.Parent() {
		if c.Name() == "serve" || c.Name() == "bench" {
			return true
		}
	}
	return false
}
