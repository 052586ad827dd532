package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Profile is a cluster and how to reach it, under a name in the profiles' file.
type Profile struct {
	Bootstrap []string `yaml:"bootstrap,flow,omitempty"`
	ClientID  string   `yaml:"client-id,omitempty"`
	TLS       TLS      `yaml:"tls,omitempty"`
	SASL      SASL     `yaml:"sasl,omitempty"`
}

// Target is the profile as what commands work on.
func (p Profile) Target() Target {
	return Target{Bootstrap: p.Bootstrap, ClientID: p.ClientID, TLS: p.TLS, SASL: p.SASL}
}

// Profiles is the whole file.
type Profiles struct {
	Current  string             `yaml:"current,omitempty"` // what counts if no profile is named
	Profiles map[string]Profile `yaml:"profiles"`
	path     string
}

// ProfilesPath is where the file lies unless somebody says otherwise: named, else $STREAMBUS_CONFIG, else below
// $XDG_CONFIG_HOME or ~/.config. The second result says whether anybody named it.
func ProfilesPath(named string, env func(string) string) (string, bool) {
	if named != "" {
		return named, true
	}
	if p := env("STREAMBUS_CONFIG"); p != "" {
		return p, true
	}
	dir := env("XDG_CONFIG_HOME")
	if dir == "" {
		home := env("HOME")
		if home == "" {
			return "", false
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "streambus", "config.yaml"), false
}

// maxProfiles bounds what is read of a file that is named by mistake.
const maxProfiles = 1 << 20

// LoadProfiles reads the file; one that isn't there has no profiles. The warning, if there is one, is about who else
// can read it.
func LoadProfiles(path string) (p *Profiles, warning string, err error) {
	p = &Profiles{path: path, Profiles: map[string]Profile{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return p, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		warning = fmt.Sprintf("%s can be read by others (mode %04o): chmod 600 it, it may hold passwords", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxProfiles+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxProfiles {
		return nil, "", fmt.Errorf("%s: larger than %s, this can't be a file of profiles", path, FormatBytes(maxProfiles))
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return nil, "", &UsageError{fmt.Errorf("%s: %w", path, err)}
	}
	if p.Profiles == nil {
		p.Profiles = map[string]Profile{}
	}
	return p, warning, nil
}

// Save writes the file anew, readable for its owner alone.
func (p *Profiles) Save() error {
	if p.path == "" {
		return usagef("there is no place for profiles: name one with --config-file")
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(p), enc.Close()); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(p.path), ".config-*") // has mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(buf.Bytes())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Names are sorted.
func (p *Profiles) Names() []string {
	names := make([]string, 0, len(p.Profiles))
	for name := range p.Profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Get finds a profile; an empty name is the current one, and with no current one the zero Profile.
func (p *Profiles) Get(name string) (Profile, error) {
	if name == "" {
		name = p.Current
	}
	if name == "" {
		return Profile{}, nil
	}
	profile, ok := p.Profiles[name]
	if !ok {
		return Profile{}, usagef("there is no profile %q in %s (there: %s)", name, p.path, strings.Join(p.Names(), ", "))
	}
	return profile, nil
}

// Put adds or, if replace, changes one. The first one is used from then on.
func (p *Profiles) Put(name string, profile Profile, replace bool) error {
	switch _, exists := p.Profiles[name]; {
	case name == "" || strings.ContainsAny(name, " \t\n/"):
		return usagef("%q can't be the name of a profile", name)
	case exists && !replace:
		return usagef("there is a profile %q: --replace it, or remove it first", name)
	}
	if _, err := profile.Target().Addresses(); err != nil {
		return err
	}
	if m := profile.SASL.Mechanism; m != "" && !slices.Contains(Mechanisms, strings.ToUpper(m)) {
		return unknownName("SASL mechanism", m, Mechanisms)
	}
	p.Profiles[name] = profile
	if p.Current == "" {
		p.Current = name
	}
	return nil
}

// Use makes a profile the current one.
func (p *Profiles) Use(name string) error {
	if _, err := p.Get(name); err != nil {
		return err
	}
	p.Current = name
	return nil
}

// Remove takes one away.
func (p *Profiles) Remove(name string) error {
	if _, ok := p.Profiles[name]; !ok {
		return usagef("there is no profile %q in %s", name, p.path)
	}
	delete(p.Profiles, name)
	if p.Current == name {
		p.Current = ""
	}
	return nil
}
