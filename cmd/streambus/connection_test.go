package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// fakeCluster is a cluster of one broker with these topics, and its address.
func fakeCluster(t *testing.T, topics ...string) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// inHome lets the test have a home directory of its own.
func inHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"XDG_CONFIG_HOME", "STREAMBUS_CONFIG", "STREAMBUS_PROFILE", "STREAMBUS_SASL_PASSWORD"} {
		t.Setenv(name, "")
	}
	return home
}

func TestAProfileSaysWhereTheClusterIs(t *testing.T) {
	home := inHome(t)
	one, two := fakeCluster(t, "one"), fakeCluster(t, "two")
	must(t, "", "profile", "add", "first", "-b", one)
	must(t, "", "profile", "add", "second", "-b", two)
	lists := func(want string, args ...string) {
		t.Helper()
		if out := must(t, "", append([]string{"topic", "list"}, args...)...); !strings.Contains(out, "\n"+want+" ") {
			t.Errorf("%v: no %q in %s", args, want, out)
		}
	}
	lists("one")
	lists("two", "--profile", "second")
	lists("two", "--profile", "first", "-b", two)
	must(t, "", "profile", "use", "second")
	lists("two")
	t.Setenv("STREAMBUS_PROFILE", "first")
	lists("one")
	lists("two", "--profile", "second")
	if out := must(t, "", "__complete", "topic", "delete", "--profile", "second", ""); !strings.HasPrefix(out, "two\n") {
		t.Errorf("completion: %q", out)
	}
	if out := must(t, "", "__complete", "profile", "use", ""); !strings.HasPrefix(out, "first\nsecond\n:4") {
		t.Errorf("completion of profiles: %q", out)
	}
	must(t, "", "profile", "remove", "first")
	if code, _, stderr := call(t, "", "topic", "list"); code != exitUsage || !strings.Contains(stderr, `no profile "first"`) {
		t.Errorf("%d %s", code, stderr)
	}
	path := filepath.Join(home, ".config", "streambus", "config.yaml")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, "", "topic", "list", "--profile", "second"); code != exitClean || !strings.Contains(stderr, "can be read by others") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestFlagsAndEnvironmentCountBeforeTheProfile(t *testing.T) {
	inHome(t)
	must(t, "hush\n", "profile", "add", "p", "-b", "127.0.0.1:1", "--tls-ca", "ca.pem", "--sasl-user", "me", "--sasl-password-file", "-")
	resolved := func(args ...string) *app {
		t.Helper()
		a := &app{stdio: stdio{strings.NewReader(""), os.Stdout, os.Stderr}}
		c := newTopicList(a)
		if err := c.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if err := a.resolve(c); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if got := resolved().target(); got.SASL.Password != "hush" || !filepath.IsAbs(got.TLS.CA) || got.Bootstrap[0] != "127.0.0.1:1" {
		t.Errorf("profile: %+v", got)
	}
	if got := resolved("--tls=false", "--client-id", "x", "--sasl-user", "you").target(); got.TLS.CA != "" || got.ClientID != "x" || got.SASL.User != "you" {
		t.Errorf("flags: %+v", got)
	}
	if got := resolved("--sasl-password-file", "f").target(); got.SASL.Password != "" || got.SASL.PasswordFile != "f" {
		t.Errorf("password file: %+v", got)
	}
	t.Setenv("STREAMBUS_SASL_PASSWORD", "louder")
	if got := resolved().target(); got.SASL.Password != "louder" {
		t.Errorf("environment: %+v", got)
	}
	if out := must(t, "", "profile", "show", "-o", "json"); strings.Contains(out, "hush") || strings.Contains(out, "louder") {
		t.Errorf("a secret was shown: %s", out)
	}
}

func TestCompletionGivesUpOnABrokerThatIsSilent(t *testing.T) {
	inHome(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	begun := time.Now()
	if code, out, _ := call(t, "", "__complete", "topic", "describe", "-b", l.Addr().String(), ""); code != exitClean || !strings.HasPrefix(out, ":1") {
		t.Errorf("%d %q", code, out)
	}
	if took := time.Since(begun); took > 2*completionTimeout {
		t.Errorf("took %s", took)
	}
}

func TestRequestsAreSentFromTheCommandLine(t *testing.T) {
	inHome(t)
	b := "-b=" + fakeCluster(t, "orders")
	file := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(file, []byte(`{"topics":[{"topic":"orders"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"argument": {`{"topics":[{"topic":"orders"}]}`},
		"file":     {"@" + file},
		"input":    {"-"},
	} {
		out := must(t, `{"topics":[{"topic":"orders"}]}`, append([]string{"debug", "request", "metadata", b}, args...)...)
		if !strings.Contains(out, `"topic": "orders"`) {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := must(t, "", "debug", "request", "--list", b); !strings.HasPrefix(out, "KEY  NAME") {
		t.Errorf("list: %s", out)
	}
	if out := must(t, "", "debug", "versions", b, "-o", "yaml"); !strings.Contains(out, "name: Metadata") {
		t.Errorf("versions: %s", out)
	}
	if out := must(t, "", "debug", "errors", "27"); !strings.Contains(out, "REBALANCE_IN_PROGRESS") {
		t.Errorf("errors: %s", out)
	}
	for _, args := range []string{
		"debug request", "debug request nope", "debug request 3 {", "debug request --list 3", "debug request metadata --template --api-version 99",
		"debug errors nope", "profile use nope", "profile add", "profile add a/b", "bench compare", "bench compare --a x --b y -w z",
		"bench groups --commit-only --fetch-all", "topic list --profile nope", "topic list --tls-cert x",
	} {
		code, _, stderr := call(t, "", append(strings.Fields(args), "--help=false")...)
		if code != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("streambus %s: exit code %d: %q", args, code, stderr)
		}
	}
}

func TestBrokersAreComparedFromTheCommandLine(t *testing.T) {
	inHome(t)
	args := []string{"bench", "compare", "--a", fakeCluster(t), "--b", fakeCluster(t), "--pairs", "1", "--warm-up-pairs", "-1",
		"--records", "100", "--batch", "10", "--partitions", "1", "--replication-factor", "1", "--warm-up", "0", "--pause", "1ms"}
	out := must(t, "", args...)
	if !strings.Contains(out, "rounds in the order AB") || !strings.Contains(out, "throughput, records/s") {
		t.Errorf("%s", out)
	}
	if _, _, stderr := call(t, "", append(args, "-o", "json")...); stderr != "" {
		t.Errorf("told of progress with -o json: %q", stderr)
	}
}
