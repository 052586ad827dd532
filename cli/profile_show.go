package cli

import (
	"io"
	"strings"
)

// hidden stands where a secret would.
const hidden = "********"

// ShownProfile is a profile without its secrets.
type ShownProfile struct {
	Name      string     `json:"name"`
	Current   bool       `json:"current"`
	File      string     `json:"file,omitempty"`
	Bootstrap []string   `json:"bootstrap"`
	ClientID  string     `json:"clientId,omitempty"`
	TLS       *ShownTLS  `json:"tls,omitempty"`
	SASL      *ShownSASL `json:"sasl,omitempty"`
}

// ShownTLS names files, never what is in them.
type ShownTLS struct {
	CA         string `json:"ca,omitempty"`
	Cert       string `json:"cert,omitempty"`
	Key        string `json:"key,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	Insecure   bool   `json:"insecure"`
}

// ShownSASL has stars for a password that stands in the file.
type ShownSASL struct {
	Mechanism    string `json:"mechanism"`
	User         string `json:"user"`
	Password     string `json:"password,omitempty"`
	PasswordFile string `json:"passwordFile,omitempty"`
}

// Show is what may be seen of one profile.
func (p *Profiles) Show(name string) (*ShownProfile, error) {
	if name == "" {
		name = p.Current
	}
	if name == "" {
		return nil, usagef("no profile is in use: name one")
	}
	profile, err := p.Get(name)
	if err != nil {
		return nil, err
	}
	s := &ShownProfile{Name: name, Current: name == p.Current, File: p.path, Bootstrap: profile.Bootstrap, ClientID: profile.ClientID}
	if t := profile.TLS; t.wanted() {
		s.TLS = &ShownTLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName, Insecure: t.Insecure}
	}
	if l := profile.SASL; l != (SASL{}) {
		s.SASL = &ShownSASL{Mechanism: l.Mechanism, User: l.User, PasswordFile: l.PasswordFile}
		if s.SASL.Mechanism == "" {
			s.SASL.Mechanism = Mechanisms[0]
		}
		if l.Password != "" {
			s.SASL.Password = hidden
		}
	}
	return s, nil
}

// WriteTable prints a name and a value a line.
func (s *ShownProfile) WriteTable(w io.Writer) error {
	t := NewTableWriter(w)
	row := func(name, value string) {
		if value != "" {
			t.Row(name, value)
		}
	}
	row("name", s.Name)
	row("file", s.File)
	row("bootstrap", strings.Join(s.Bootstrap, ","))
	row("client id", s.ClientID)
	if s.TLS != nil {
		row("tls", "on")
		row("tls ca", s.TLS.CA)
		row("tls certificate", s.TLS.Cert)
		row("tls key", s.TLS.Key)
		row("tls server name", s.TLS.ServerName)
		if s.TLS.Insecure {
			row("tls verification", "off")
		}
	}
	if s.SASL != nil {
		row("sasl mechanism", s.SASL.Mechanism)
		row("sasl user", s.SASL.User)
		row("sasl password", s.SASL.Password)
		row("sasl password file", s.SASL.PasswordFile)
	}
	return t.Flush()
}

// ProfileList is sorted by name.
type ProfileList []*ShownProfile

// List shows all.
func (p *Profiles) List() ProfileList {
	list := ProfileList{}
	for _, name := range p.Names() {
		s, err := p.Show(name)
		if err != nil {
			continue // it is there: its name was just listed
		}
		s.File = ""
		list = append(list, s)
	}
	return list
}

// WriteTable prints a profile a line; a star marks the current one.
func (l ProfileList) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "", "NAME", "BOOTSTRAP", "TLS", "SASL")
	for _, s := range l {
		star, tls, sasl := "", "-", "-"
		if s.Current {
			star = "*"
		}
		if s.TLS != nil {
			tls = "on"
		}
		if s.SASL != nil {
			sasl = s.SASL.Mechanism + " as " + s.SASL.User
		}
		t.Row(star, s.Name, strings.Join(s.Bootstrap, ","), tls, sasl)
	}
	return t.Flush()
}
