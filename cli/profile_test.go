package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func profiles(t *testing.T, path string) *Profiles {
	t.Helper()
	p, warning, err := LoadProfiles(path)
	if err != nil || warning != "" {
		t.Fatalf("%v, warning %q", err, warning)
	}
	return p
}

func TestProfilesAreKeptForTheirOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config.yaml")
	p := profiles(t, path)
	secret := Profile{Bootstrap: []string{"a:1", "b:2"}, TLS: TLS{CA: "ca.pem"}, SASL: SASL{Mechanism: "scram-sha-512", User: "me", Password: "hush"}}
	if err := p.Put("prod", secret, false); err != nil {
		t.Fatal(err)
	}
	if err := p.Put("local", Profile{Bootstrap: []string{"127.0.0.1:9092"}}, false); err != nil {
		t.Fatal(err)
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	p = profiles(t, path)
	if got, err := p.Get(""); err != nil || got.SASL != secret.SASL || got.TLS != secret.TLS || len(got.Bootstrap) != 2 {
		t.Errorf("the first is in use: %+v, %v", got, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, warning, err := LoadProfiles(path); err != nil || !strings.Contains(warning, "mode 0640") {
		t.Errorf("%q, %v", warning, err)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	p := profiles(t, filepath.Join(t.TempDir(), "x"))
	if err := p.Put("prod", Profile{Bootstrap: []string{"a:1"}, SASL: SASL{User: "me", Password: "hush"}}, false); err != nil {
		t.Fatal(err)
	}
	shown, err := p.Show("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Format{Table, JSON, YAML} {
		var out bytes.Buffer
		for _, v := range []Printable{shown, p.List()} {
			if err := Print(&out, f, v); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(out.String(), "hush") || !strings.Contains(out.String(), "me") {
			t.Errorf("%s: %s", f, out.String())
		}
	}
}

func TestProfilesThatCantBeAreUsageErrors(t *testing.T) {
	p := profiles(t, filepath.Join(t.TempDir(), "x"))
	ok := Profile{Bootstrap: []string{"a:1"}}
	if err := p.Put("a", ok, false); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"twice":         p.Put("a", ok, false),
		"empty name":    p.Put("", ok, false),
		"blank in name": p.Put("a b", ok, false),
		"no address":    p.Put("c", Profile{}, false),
		"mechanism":     p.Put("d", Profile{Bootstrap: []string{"a:1"}, SASL: SASL{User: "u", Mechanism: "X"}}, false),
		"use unknown":   p.Use("z"),
		"remove":        p.Remove("z"),
	} {
		if !isUsage(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Put("a", Profile{Bootstrap: []string{"b:1"}}, true); err != nil || p.Profiles["a"].Bootstrap[0] != "b:1" {
		t.Errorf("replace: %v", err)
	}
	if err := p.Remove("a"); err != nil || p.Current != "" {
		t.Errorf("current %q, %v", p.Current, err)
	}
}

func TestAFileOfProfilesWithAnUnknownKeyIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("profiles:\n  a:\n    bootstarp: [x]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadProfiles(path); !isUsage(err) || !strings.Contains(err.Error(), "bootstarp") {
		t.Errorf("%v", err)
	}
}

func TestTheFileOfProfilesIsFoundWhereItShouldBe(t *testing.T) {
	for _, c := range []struct {
		named string
		env   map[string]string
		want  string
	}{
		{"x", map[string]string{"STREAMBUS_CONFIG": "y"}, "x"},
		{"", map[string]string{"STREAMBUS_CONFIG": "y", "HOME": "/h"}, "y"},
		{"", map[string]string{"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/streambus/config.yaml"},
		{"", map[string]string{"HOME": "/h"}, "/h/.config/streambus/config.yaml"},
		{"", nil, ""},
	} {
		if got, _ := ProfilesPath(c.named, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
