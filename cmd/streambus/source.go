package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/config"
)

// sourceFlags are the flags of serve, which config print shares. Each has its property in the table of package config;
// only those that were given count.
type sourceFlags struct {
	file string
	set  []string
}

// flagKeys names the property that each flag sets.
var flagKeys = []struct{ flag, key, text string }{
	{"data-dir", "log.dirs", "where everything is kept"},
	{"node-id", "node.id", "this node's number in the cluster"},
	{"listen", "listeners", "address for Kafka clients, host:port, or NAME://host:port,..."},
	{"advertise", "advertised.listeners", "address that clients are told to use, host:port, or NAME://host:port,..."},
	{"cluster-listen", "cluster.listener", "address for the other nodes, host:port"},
	{"quorum", "controller.quorum.voters", "the first voters, ID@host:port,... of their cluster listeners, this node's own among them"},
	{"join", "controller.quorum.bootstrap.servers", "cluster listeners of members of a cluster to join, host:port,..."},
	{"admin-listen", "admin.listener", "address for health and metrics, host:port"},
	{"log-level", "log.level", "debug, info, warn or error"},
	{"log-format", "log.format", "text or json"},
}

func (s *sourceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.file, "config", "", "a server.properties as Kafka has it")
	f.StringArrayVar(&s.set, "set", nil, "a property, key=value; may be repeated")
	defaults, _, err := config.Load(config.Sources{})
	for _, k := range flagKeys {
		text := k.text + " (" + k.key
		if err == nil && defaults.String(k.key) != "" {
			text += ", default " + defaults.String(k.key)
		}
		f.String(k.flag, "", text+")")
	}
	_ = c.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// load reads all sources. A value that is not allowed is a usage error: nothing was started, and starting again won't
// help.
func (s *sourceFlags) load(c *cobra.Command) (*config.Config, []config.Warning, error) {
	sources := config.Sources{Flags: s.flags(c), Set: s.set, Environ: os.Environ(), FileName: s.file}
	if s.file != "" {
		text, err := os.ReadFile(s.file)
		if err != nil {
			return nil, nil, err
		}
		sources.File = string(text)
	}
	if name, err := os.Hostname(); err == nil {
		sources.Hostname = name
	}
	if err := advertise(&sources); err != nil {
		return nil, nil, usage(c, err)
	}
	cfg, warnings, err := config.Load(sources)
	if err != nil {
		return nil, warnings, &cli.UsageError{Err: err}
	}
	return cfg, warnings, nil
}

func (s *sourceFlags) flags(c *cobra.Command) map[string]string {
	given := map[string]string{}
	for _, k := range flagKeys {
		f := c.Flags().Lookup(k.flag)
		if !f.Changed {
			continue
		}
		given[k.key] = f.Value.String()
	}
	if v, ok := given["listeners"]; ok && !strings.Contains(v, "://") {
		given["listeners"] = "PLAINTEXT://" + v
	}
	return given
}

// advertise gives a plain --advertise the name of the one listener it can mean.
func advertise(s *config.Sources) error {
	address, ok := s.Flags["advertised.listeners"]
	if !ok || strings.Contains(address, "://") {
		return nil
	}
	cfg, _, err := config.Load(*s)
	if err != nil {
		return err
	}
	listeners, err := cfg.Listeners()
	if err != nil {
		return err
	}
	if len(listeners) != 1 {
		return fmt.Errorf("there are %d listeners: write --advertise NAME://host:port for each", len(listeners))
	}
	s.Flags["advertised.listeners"] = listeners[0].Name + "://" + address
	return nil
}
