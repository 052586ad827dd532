package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Mechanisms are the values of SASL.Mechanism.
var Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// TLS says how connections are secured. The zero value is plain text.
type TLS struct {
	Enabled    bool   `yaml:"enabled,omitempty"`
	CA         string `yaml:"ca,omitempty"`          // file with PEM certificates to trust; empty: the system's
	Cert       string `yaml:"cert,omitempty"`        // file with the client's own certificate, for mutual TLS
	Key        string `yaml:"key,omitempty"`         // file with its private key
	ServerName string `yaml:"server-name,omitempty"` // to verify, if it isn't the host of the address
	Insecure   bool   `yaml:"insecure,omitempty"`    // verify nothing
}

// wanted says whether anything asks for TLS: naming a file of it is asking for it.
func (t TLS) wanted() bool {
	return t.Enabled || t.CA != "" || t.Cert != "" || t.Key != "" || t.ServerName != "" || t.Insecure
}

// Config reads the files; nil without an error is plain text.
func (t TLS) Config() (*tls.Config, error) {
	if !t.wanted() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls ca: %s holds no PEM certificate", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, usagef("a client certificate needs its key, and a key its certificate")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// SASL is how a client logs in. The zero value is not at all.
type SASL struct {
	Mechanism    string `yaml:"mechanism,omitempty"` // one of Mechanisms; PLAIN if there is a user and no mechanism
	User         string `yaml:"user,omitempty"`
	Password     string `yaml:"password,omitempty"`      // or
	PasswordFile string `yaml:"password-file,omitempty"` // a file that holds nothing else; a line end behind it doesn't count
}

// Login makes the mechanism; nil without an error if nobody logs in.
func (s SASL) Login() (sasl.Mechanism, error) {
	if s == (SASL{}) {
		return nil, nil
	}
	if s.User == "" {
		return nil, usagef("SASL needs a user")
	}
	password := s.Password
	if password == "" && s.PasswordFile != "" {
		text, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password of %s: %w", s.User, err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if password == "" {
		return nil, usagef("no password for user %s: name a file with --sasl-password-file, or set STREAMBUS_SASL_PASSWORD", s.User)
	}
	switch strings.ToUpper(s.Mechanism) {
	case "", "PLAIN":
		return saslplain.Auth{User: s.User, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, unknownName("SASL mechanism", s.Mechanism, Mechanisms)
}

// securityOptions are what a client needs to get through TLS and SASL.
func (t Target) securityOptions() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	config, err := t.TLS.Config()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	login, err := t.SASL.Login()
	if err != nil {
		return nil, err
	}
	if login != nil {
		opts = append(opts, kgo.SASL(login))
	}
	return opts, nil
}

// explainSecurity adds what is behind the errors that say the least.
func (t Target) explainSecurity(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) && t.TLS.CA == "" {
		return fmt.Errorf("%w (name the file of the authority with --tls-ca)", err)
	}
	return err
}
