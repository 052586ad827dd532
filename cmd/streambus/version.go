package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// version is set by the linker when a release is built.
var version = "dev"

// kafkaVersion is the release whose protocol is served.
const kafkaVersion = "4.3.1"

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Kafka    string `json:"kafka"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// WriteTable prints one line.
func (v *versionInfo) WriteTable(w io.Writer) error {
	revision := ""
	if v.Revision != "" {
		revision = ", revision " + v.Revision
	}
	_, err := fmt.Fprintf(w, "streambus %s (protocol of Kafka %s, %s, %s%s)\n", v.Version, v.Kafka, v.Go, v.Platform, revision)
	return err
}

func newVersion(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:               "version",
		Short:             "Show the version",
		Example:           "  streambus version\n  streambus version -o json",
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := a.read(c)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, &versionInfo{version, revision(), kafkaVersion, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
	}
	return c
}

// revision is what the Go toolchain noted of the checkout it built.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
