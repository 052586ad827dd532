package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/config"
)

// call runs the program and returns its exit code, standard output and standard error.
func call(t *testing.T, stdin string, args ...string) (int, string, string) {
	t.Helper()
	var out, err bytes.Buffer
	code := run(args, stdio{strings.NewReader(stdin), &out, &err})
	return code, out.String(), err.String()
}

// must runs the program and fails the test if the exit code isn't 0.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out, err := call(t, stdin, args...)
	if code != exitClean {
		t.Fatalf("streambus %s: exit code %d: %s%s", strings.Join(args, " "), code, out, err)
	}
	return out
}

func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

func TestEveryCommandHasItsHelp(t *testing.T) {
	for _, c := range commands(newRoot(&app{})) {
		if c.Short == "" || c.Example == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: example line %q is not indented", c.CommandPath(), line)
			}
		}
		if c.Args == nil {
			t.Errorf("%s: arguments are not checked", c.CommandPath())
		}
	}
}

func TestExitCodesTellUsageFromFailure(t *testing.T) {
	for args, want := range map[string]int{
		"":                                 exitClean,
		"--help":                           exitClean,
		"topic":                            exitClean,
		"cluster":                          exitClean,
		"version":                          exitClean,
		"completion bash":                  exitClean,
		"bogus":                            exitUsage,
		"topic bogus":                      exitUsage,
		"topic create":                     exitUsage,
		"topic create a b":                 exitUsage,
		"topic list --bogus":               exitUsage,
		"topic list -o xml":                exitUsage,
		"consume a --offset x":             exitUsage,
		"consume a --offset 1 --since 1m":  exitUsage,
		"consume a -o json --format x":     exitUsage,
		"consume a --isolation-level x":    exitUsage,
		"produce":                          exitUsage,
		"produce a --acks 3":               exitUsage,
		"produce a --acks 1 --idempotence": exitUsage,
		"bench produce --acks 3":           exitUsage,
		"bench produce --config x":         exitUsage,
		"serve --set node.id=x":            exitUsage,
		"serve extra":                      exitUsage,
		"doctor extra":                     exitUsage,
		"doctor -o xml":                    exitUsage,
		"doctor -b ,":                      exitUsage,
		"config print no.such.key":         exitUsage,
		"serve --config /does/not/exist":   exitFailed,
		"topic list -b 127.0.0.1:1":        exitFailed,
		"cluster describe x":               exitUsage,
		"cluster describe -o xml":          exitUsage,
		"cluster describe -b 127.0.0.1:1":  exitFailed,
		"partition elect":                  exitUsage,
		"partition elect a --type x":       exitUsage,
		"bench produce -b 127.0.0.1:1":     exitFailed,
		"produce a --file /does/not/exist": exitFailed,
		"verify /does/not/exist":           exitFailed,
	} {
		endsWith(t, args, want)
	}
}

// endsWith runs a command line, which ends with that exit code and, if it fails, one clear line.
func endsWith(t *testing.T, args string, want int) {
	t.Helper()
	code, _, stderr := call(t, "", strings.Fields(args)...)
	if code != want {
		t.Errorf("streambus %s: exit code %d, want %d (%s)", args, code, want, stderr)
	}
	if code != exitClean && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "streambus: ")) {
		t.Errorf("streambus %s: not one clear line: %q", args, stderr)
	}
}

func TestRecordsGoInAndComeOut(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := "--bootstrap=" + c.ListenAddrs()[0]
	must(t, "", "topic", "create", "a", b, "--partitions", "2", "--replication-factor", "1")
	code, out, stderr := call(t, "k:1\nk:2\n", "produce", "a", b, "-K", ":", "--acks", "1", "--linger", "0")
	if code != 0 || out != "" || !strings.HasPrefix(stderr, "2 records (4 B) in ") {
		t.Errorf("produce: %d %q %q", code, out, stderr)
	}
	if out := must(t, "", "consume", "a", b, "-e", "-f", `%k=%s\n`); out != "k=1\nk=2\n" {
		t.Errorf("consume: %q", out)
	}
	out = must(t, "", "topic", "describe", "a", b, "-o", "json")
	var described []struct{ Partitions []struct{ End int64 } }
	if err := json.Unmarshal([]byte(out), &described); err != nil || len(described[0].Partitions) != 2 {
		t.Errorf("describe: %v, %s", err, out)
	}
	out = must(t, "", "bench", "produce", b, "--records", "1000", "--batch", "100", "--topic", "b", "-o", "json", "-q")
	var result struct{ Records int64 }
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Records != 1000 {
		t.Errorf("bench: %v, %s", err, out)
	}
	if out := must(t, "", "bench", "consume", b, "--topic", "b", "-q"); !strings.Contains(out, "1000 in ") {
		t.Errorf("bench consume: %s", out)
	}
	if out := must(t, "", "__complete", "topic", "delete", b, ""); !strings.HasPrefix(out, "a\nb\n") {
		t.Errorf("completion: %s", out)
	}
	code, out, stderr = call(t, "", "topic", "delete", b, "a", "x", "y")
	if code != exitFailed || out != "deleted topic a\n" || strings.Count(stderr, "UNKNOWN_TOPIC_OR_PARTITION") != 2 || strings.Count(stderr, "\n") != 2 {
		t.Errorf("delete: %d %q %q", code, out, stderr)
	}
}

func TestAFailedRecordIsExitCodeOne(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	code, out, stderr := call(t, "x\n", "produce", "a", "-b", c.ListenAddrs()[0], "-p", "7", "-o", "json")
	if code != exitFailed || !strings.Contains(out, `"failed": 1`) || !strings.Contains(stderr, "partition") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

// printed is what config print says, by key: value and origin.
func printed(t *testing.T, args ...string) map[string][2]string {
	t.Helper()
	out := must(t, "", append([]string{"config", "print", "-o", "json"}, args...)...)
	var list []struct {
		Name, Origin string
		Value        *string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	all := map[string][2]string{}
	for _, e := range list {
		value := "null"
		if e.Value != nil {
			value = *e.Value
		}
		all[e.Name] = [2]string{value, e.Origin}
	}
	return all
}

func TestFlagsSetTheirProperties(t *testing.T) {
	got := printed(t, "--data-dir", "/d", "--node-id", "7", "--listen", "127.0.0.1:1234", "--advertise", "example.com:5",
		"--cluster-listen", "127.0.0.1:2", "--admin-listen", "127.0.0.1:3", "--log-level", "debug", "--log-format", "json",
		"--quorum", "7@127.0.0.1:2,8@127.0.0.1:4", "--join", "127.0.0.1:4", "--set", "num.partitions=9")
	for key, want := range map[string]string{
		"log.dirs": "/d", "node.id": "7", "listeners": "PLAINTEXT://127.0.0.1:1234",
		"advertised.listeners": "PLAINTEXT://example.com:5", "cluster.listener": "127.0.0.1:2",
		"controller.quorum.voters": "7@127.0.0.1:2,8@127.0.0.1:4", "controller.quorum.bootstrap.servers": "127.0.0.1:4",
		"admin.listener": "127.0.0.1:3", "log.level": "debug", "log.format": "json", "num.partitions": "9",
	} {
		if got[key][0] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if got["node.id"][1] == got["num.io.threads"][1] || got["node.id"][1] == got["num.partitions"][1] {
		t.Errorf("origins: flag %q, --set %q, default %q", got["node.id"], got["num.partitions"], got["num.io.threads"])
	}
}

func TestSourcesCountInTheirOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("num.partitions=2\nnode.id=3\nlog.dirs=/f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KAFKA_NUM_PARTITIONS", "4")
	got := printed(t, "--config", file, "--data-dir", "/flag", "num.partitions", "node.id", "log.dirs")
	for key, want := range map[string]string{"num.partitions": "4", "node.id": "3", "log.dirs": "/flag"} {
		if got[key][0] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if len(got) != 3 {
		t.Errorf("printed %d keys, want the 3 asked for", len(got))
	}
	if got := printed(t, "--changed", "num.*"); len(got) != 1 {
		t.Errorf("changed: %v", got)
	}
}

func TestAPlainAdvertisedAddressNeedsOneListener(t *testing.T) {
	code, _, stderr := call(t, "", "config", "print", "--listen", "A://127.0.0.1:1,B://127.0.0.1:2",
		"--set", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT", "--set", "inter.broker.listener.name=A", "--advertise", "x:1")
	if code != exitUsage || !strings.Contains(stderr, "NAME://host:port") {
		t.Errorf("%d %s", code, stderr)
	}
}

// fakeNode is a server that does what the test says.
type fakeNode struct {
	ended chan error
	stop  func(context.Context) error
}

func (n *fakeNode) Addr() string                   { return "127.0.0.1:0" }
func (n *fakeNode) Wait() error                    { return <-n.ended }
func (n *fakeNode) Stop(ctx context.Context) error { return n.stop(ctx) }

func serveFake(t *testing.T, n *fakeNode, startErr error, signals ...os.Signal) error {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan os.Signal, len(signals))
	for _, s := range signals {
		ch <- s
	}
	start := func(context.Context, *config.Config, *slog.Logger) (server, error) { return n, startErr }
	return serve(cfg, slog.New(slog.DiscardHandler), start, ch)
}

func TestTheFirstSignalDrains(t *testing.T) {
	stopped := false
	n := &fakeNode{ended: make(chan error), stop: func(ctx context.Context) error {
		_, limited := ctx.Deadline()
		stopped = limited && ctx.Err() == nil
		return nil
	}}
	if err := serveFake(t, n, nil, syscall.SIGTERM); err != nil || !stopped {
		t.Errorf("stopped %v, %v", stopped, err)
	}
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	n := &fakeNode{ended: make(chan error), stop: func(context.Context) error { <-hang; return nil }}
	err := serveFake(t, n, nil, syscall.SIGTERM, syscall.SIGINT)
	if err == nil || !strings.Contains(err.Error(), "second interrupt") {
		t.Errorf("got %v", err)
	}
}

func TestANodeThatEndsByItselfEndsTheProcess(t *testing.T) {
	n := &fakeNode{ended: make(chan error, 1)}
	n.ended <- errors.New("disk gone")
	if err := serveFake(t, n, nil); err == nil || err.Error() != "disk gone" {
		t.Errorf("got %v", err)
	}
	if err := serveFake(t, nil, errors.New("port taken")); err == nil || err.Error() != "start: port taken" {
		t.Errorf("got %v", err)
	}
	n = &fakeNode{ended: make(chan error), stop: func(context.Context) error { return errors.New("too slow") }}
	if err := serveFake(t, n, nil, syscall.SIGINT); err == nil || err.Error() != "stop: too slow" {
		t.Errorf("got %v", err)
	}
}

func TestWhatServesOrMeasuresRunsLong(t *testing.T) {
	for args, want := range map[string]bool{
		"serve": true, "serve --data-dir topic": true, "bench produce --bytes 1": true, "-b x:1 bench e2e": true,
		"topic list": false, "topic create serve": false, "--help": false, "nonsense": false, "": false,
	} {
		if got := runsLong(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestJoinedErrorsAreALineEach(t *testing.T) {
	var w bytes.Buffer
	err := errors.Join(errors.New("a"), errors.Join(errSilent, &cli.UsageError{Err: errors.New("b")}))
	if code := exitCode(err, &w); code != exitUsage || w.String() != "streambus: a\nstreambus: b\n" {
		t.Errorf("%d %q", code, w.String())
	}
}

func TestADirectoryIsVerified(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg, _, err := config.Load(config.Sources{Flags: map[string]string{
		"log.dirs": dir, "listeners": "PLAINTEXT://127.0.0.1:0", "cluster.listener": "127.0.0.1:0", "admin.listener": "127.0.0.1:0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := startNode(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	must(t, "x\ny\n", "produce", "a", "-b", n.Addr())
	if code, _, stderr := call(t, "", "verify", dir); code != exitFailed || !strings.Contains(stderr, "in use") {
		t.Errorf("while a broker has it: %d %s", code, stderr)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "", "verify", dir); !strings.Contains(out, "no problems") {
		t.Errorf("stopped: %s", out)
	}
	first := filepath.Join(dir, "wal", "0000000001.wal")
	if out := must(t, "", "debug", "wal", first); !strings.Contains(out, "batch") || !strings.Contains(out, "create") {
		t.Errorf("its file: %s", out)
	}
	if out := must(t, "", "debug", "index", dir); !strings.Contains(out, "entry") || !strings.Contains(out, "engine") {
		t.Errorf("its index: %s", out)
	}
	damage(t, filepath.Join(dir, "wal"))
	var file struct{ Damage []struct{ Problem string } }
	if err := json.Unmarshal([]byte(must(t, "", "debug", "wal", first, "-o", "json")), &file); err != nil || len(file.Damage) == 0 {
		t.Errorf("its damaged file: %+v, %v", file, err)
	}
	code, out, _ := call(t, "", "verify", dir, "-o", "json")
	var found struct{ Problems []string }
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitFailed || len(found.Problems) == 0 {
		t.Errorf("damaged: %d %v %s", code, err, out)
	}
}

// damage turns every byte in the middle of what a directory's files hold.
func damage(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(b, "\x00"))
		for i := used / 3; i < used*2/3; i++ {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
