package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
)

// connection are the flags that say where a cluster is and how to get in. A profile gives what no flag does.
type connection struct {
	file, profile string
	clientID      string
	tls           cli.TLS
	sasl          cli.SASL
	cluster       cli.Target // what came of flags, environment and profile
}

// cluster adds the flags that say where the cluster is.
func (a *app) cluster(c *cobra.Command) {
	a.brokers(c)
	c.Flags().DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	a.security(c)
}

// brokers adds -b, which nothing can complete, files least of all, and where profiles are.
func (a *app) brokers(c *cobra.Command) {
	c.Flags().StringSliceVarP(&a.bootstrap, "bootstrap", "b", []string{cli.DefaultBootstrap}, "addresses of one or more brokers, host:port")
	_ = c.RegisterFlagCompletionFunc("bootstrap", cobra.NoFileCompletions)
	a.profiles(c)
	c.Flags().StringVar(&a.connection.profile, "profile", "", "take address and credentials from this profile (STREAMBUS_PROFILE)")
	_ = c.RegisterFlagCompletionFunc("profile", a.profileNames)
}

// profiles adds the flag that says where profiles are.
func (a *app) profiles(c *cobra.Command) {
	c.Flags().StringVar(&a.connection.file, "config-file", "", "where profiles are (STREAMBUS_CONFIG; default ~/.config/streambus/config.yaml)")
}

// security adds the flags that say how to get in.
func (a *app) security(c *cobra.Command) {
	f, n := c.Flags(), &a.connection
	f.StringVar(&n.clientID, "client-id", "", "what the broker logs of this client; streambus if empty")
	f.BoolVar(&n.tls.Enabled, "tls", false, "encrypt connections")
	f.StringVar(&n.tls.CA, "tls-ca", "", "file with certificates to trust, PEM; the system's if empty")
	f.StringVar(&n.tls.Cert, "tls-cert", "", "file with this client's certificate, PEM")
	f.StringVar(&n.tls.Key, "tls-key", "", "file with its key, PEM")
	f.StringVar(&n.tls.ServerName, "tls-server-name", "", "name to look for in the broker's certificate; the address's host if empty")
	f.BoolVar(&n.tls.Insecure, "tls-insecure", false, "don't verify the broker's certificate")
	choice(c, &n.sasl.Mechanism, "sasl-mechanism", "", "", "how to log in", cli.Mechanisms)
	f.StringVar(&n.sasl.User, "sasl-user", "", "who logs in")
	f.StringVar(&n.sasl.PasswordFile, "sasl-password-file", "", "file with the password (or set STREAMBUS_SASL_PASSWORD)")
}

// target is the cluster the command is for. It counts from when flags were read, see resolve.
func (a *app) target() cli.Target {
	t := a.connection.cluster
	t.Timeout = a.timeout
	return t
}

// loadProfiles reads the profiles' file. A file that was named must be there.
func (a *app) loadProfiles() (*cli.Profiles, error) {
	path, named := cli.ProfilesPath(a.connection.file, os.Getenv)
	if _, err := os.Stat(path); named && err != nil {
		return nil, err
	}
	p, warning, err := cli.LoadProfiles(path)
	if err == nil && warning != "" {
		fmt.Fprintln(a.err, "streambus: warning: "+warning)
	}
	return p, err
}

// resolve makes the target of flags, environment and profile, in this order of precedence, for commands that have -b.
func (a *app) resolve(c *cobra.Command) error {
	if c.Flags().Lookup("profile") == nil {
		return nil
	}
	profiles, err := a.loadProfiles()
	if err != nil {
		return err
	}
	name := a.connection.profile
	if name == "" {
		name = os.Getenv("STREAMBUS_PROFILE")
	}
	profile, err := profiles.Get(name)
	if err != nil {
		return err
	}
	t := profile.Target()
	if c.Flags().Changed("bootstrap") || len(t.Bootstrap) == 0 {
		t.Bootstrap = a.bootstrap
	}
	a.connection.override(c, &t)
	a.bootstrap, a.connection.cluster = t.Bootstrap, t
	return nil
}

// override puts what flags and the environment say in the place of what the profile says.
func (n *connection) override(c *cobra.Command, t *cli.Target) {
	for _, f := range []struct {
		flag     string
		to, from *string
	}{
		{"client-id", &t.ClientID, &n.clientID},
		{"tls-ca", &t.TLS.CA, &n.tls.CA},
		{"tls-cert", &t.TLS.Cert, &n.tls.Cert},
		{"tls-key", &t.TLS.Key, &n.tls.Key},
		{"tls-server-name", &t.TLS.ServerName, &n.tls.ServerName},
		{"sasl-mechanism", &t.SASL.Mechanism, &n.sasl.Mechanism},
		{"sasl-user", &t.SASL.User, &n.sasl.User},
		{"sasl-password-file", &t.SASL.PasswordFile, &n.sasl.PasswordFile},
	} {
		if c.Flags().Changed(f.flag) {
			*f.to = *f.from
		}
	}
	if c.Flags().Changed("tls") {
		t.TLS.Enabled = n.tls.Enabled
		if !n.tls.Enabled {
			t.TLS = cli.TLS{}
		}
	}
	if c.Flags().Changed("tls-insecure") {
		t.TLS.Insecure = n.tls.Insecure
	}
	n.password(c, t)
}

// password prefers a file that a flag names, then the environment, then the profile. It means nothing without a user.
func (n *connection) password(c *cobra.Command, t *cli.Target) {
	if c.Flags().Changed("sasl-password-file") {
		t.SASL.Password = ""
		return
	}
	if p := os.Getenv("STREAMBUS_SASL_PASSWORD"); p != "" && t.SASL.User != "" {
		t.SASL.Password, t.SASL.PasswordFile = p, ""
	}
}
