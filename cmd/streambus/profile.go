package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

func newProfile(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "profile",
		Short: "Keep addresses and credentials of clusters under names",
		Long: `A profile is a name for a cluster: its bootstrap addresses, and how to encrypt and log in. Commands take the one
that --profile or STREAMBUS_PROFILE names, else the one that profile use has set; flags count before it.

Profiles lie in ~/.config/streambus/config.yaml (below $XDG_CONFIG_HOME if it is set), or where --config-file or
STREAMBUS_CONFIG says. The file is made readable for its owner alone; passwords are never printed.`,
		Example: `  streambus profile add local -b 127.0.0.1:9092
  streambus profile add prod -b kafka1:9093,kafka2:9093 --tls-ca ca.pem --sasl-mechanism SCRAM-SHA-512 --sasl-user me --sasl-password-file -
  streambus profile use prod
  streambus topic list --profile local`,
	}
	c.AddCommand(newProfileList(a), newProfileShow(a), newProfileAdd(a), newProfileUse(a), newProfileRemove(a))
	group(c)
	return c
}

// readProfiles finishes a command that prints what is in the file.
func (a *app) readProfiles(c *cobra.Command, show func(p *cli.Profiles, args []string) (cli.Printable, error)) *cobra.Command {
	a.profiles(c)
	format := a.read(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		p, err := a.loadProfiles()
		if err != nil {
			return err
		}
		shown, err := show(p, args)
		if err != nil {
			return err
		}
		return cli.Print(a.out, f, shown)
	}
	return c
}

func newProfileList(a *app) *cobra.Command {
	return a.readProfiles(&cobra.Command{
		Use:               "list",
		Short:             "List the profiles",
		Example:           "  streambus profile list\n  streambus profile list -o json",
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(p *cli.Profiles, _ []string) (cli.Printable, error) { return p.List(), nil })
}

func newProfileShow(a *app) *cobra.Command {
	return a.readProfiles(&cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show a profile, or the one in use, without its secrets",
		Example:           "  streambus profile show\n  streambus profile show prod -o yaml",
		Args:              takes(0, 1),
		ValidArgsFunction: a.firstProfile,
	}, func(p *cli.Profiles, args []string) (cli.Printable, error) {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		shown, err := p.Show(name)
		if err != nil {
			return nil, err
		}
		return shown, nil
	})
}

// changeProfiles finishes a command that changes the file.
func (a *app) changeProfiles(c *cobra.Command, change func(p *cli.Profiles, name string) error) *cobra.Command {
	a.profiles(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		path, _ := cli.ProfilesPath(a.connection.file, os.Getenv)
		p, _, err := cli.LoadProfiles(path) // no warning: it is written anew, with mode 0600
		if err != nil {
			return err
		}
		if err := change(p, args[0]); err != nil {
			return err
		}
		return p.Save()
	}
	return c
}

func newProfileAdd(a *app) *cobra.Command {
	var replace bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Keep an address and credentials under a name",
		Long: `Keeps the addresses of -b and what the flags of TLS and SASL say. The first profile is in use at once. A password is
read from standard input with --sasl-password-file - and kept in the file; with the name of a file only that name is kept.`,
		Example: `  streambus profile add local -b 127.0.0.1:9092
  streambus profile add prod -b kafka1:9093 --tls --sasl-user me --sasl-password-file ~/.kafka-password
  streambus profile add local -b 127.0.0.1:19092 --replace`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringSliceVarP(&a.bootstrap, "bootstrap", "b", []string{cli.DefaultBootstrap}, "addresses of one or more brokers, host:port")
	_ = c.RegisterFlagCompletionFunc("bootstrap", cobra.NoFileCompletions)
	c.Flags().BoolVar(&replace, "replace", false, "change the profile if there is one of that name")
	a.security(c)
	return a.changeProfiles(c, func(p *cli.Profiles, name string) error {
		n := &a.connection
		profile := cli.Profile{Bootstrap: a.bootstrap, ClientID: n.clientID, TLS: n.tls, SASL: n.sasl}
		if err := a.keepPassword(c, &profile.SASL); err != nil {
			return err
		}
		if err := anywhere(&profile.TLS.CA, &profile.TLS.Cert, &profile.TLS.Key, &profile.SASL.PasswordFile); err != nil {
			return err
		}
		return p.Put(name, profile, replace)
	})
}

// anywhere makes names of files mean the same in whatever directory the profile is used.
func anywhere(names ...*string) error {
	for _, name := range names {
		if *name == "" {
			continue
		}
		full, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = full
	}
	return nil
}

// keepPassword reads a password that comes from standard input into the profile.
func (a *app) keepPassword(c *cobra.Command, s *cli.SASL) error {
	if s.PasswordFile == "-" {
		text, err := io.ReadAll(io.LimitReader(a.in, 64<<10))
		if err != nil {
			return fmt.Errorf("password: %w", err)
		}
		s.PasswordFile, s.Password = "", strings.TrimRight(string(text), "\r\n")
		if s.Password == "" {
			return usage(c, errors.New("no password came from standard input"))
		}
	}
	if s.User == "" && *s != (cli.SASL{}) {
		return usage(c, errors.New("a login needs --sasl-user"))
	}
	return nil
}

func newProfileUse(a *app) *cobra.Command {
	return a.changeProfiles(&cobra.Command{
		Use:               "use NAME",
		Short:             "Make a profile the one that commands take",
		Example:           "  streambus profile use prod",
		Args:              takes(1, 1),
		ValidArgsFunction: a.firstProfile,
	}, func(p *cli.Profiles, name string) error { return p.Use(name) })
}

func newProfileRemove(a *app) *cobra.Command {
	return a.changeProfiles(&cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a profile",
		Example:           "  streambus profile remove prod",
		Args:              takes(1, 1),
		ValidArgsFunction: a.firstProfile,
	}, func(p *cli.Profiles, name string) error { return p.Remove(name) })
}

func (a *app) firstProfile(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.profileNames(c, args, prefix)
}
