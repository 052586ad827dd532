package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestUsageOfAdministrationIsChecked(t *testing.T) {
	for args, want := range map[string]int{
		"group":                                     exitClean,
		"partition":                                 exitClean,
		"config":                                    exitClean,
		"group bogus":                               exitUsage,
		"group list extra":                          exitUsage,
		"group list --state x":                      exitUsage,
		"group describe":                            exitUsage,
		"group describe a --all":                    exitUsage,
		"group describe a --members --state":        exitUsage,
		"group delete":                              exitUsage,
		"group delete-offsets a":                    exitUsage,
		"group delete-offsets a --topic b:x":        exitUsage,
		"group reset-offsets a --topic b":           exitUsage,
		"group reset-offsets a --to-latest":         exitUsage,
		"group reset-offsets --topic a --to-latest": exitUsage,
		"group reset-offsets a --topic b --to-latest --to-earliest":       exitUsage,
		"group reset-offsets a --topic b --to-latest --execute --dry-run": exitUsage,
		"group reset-offsets a --topic b --to-latest --export -o json":    exitUsage,
		"group reset-offsets a --from-file /does/not/exist":               exitFailed,
		"config describe":                       exitUsage,
		"config describe thing":                 exitUsage,
		"config describe topic a --default":     exitUsage,
		"config set topic a":                    exitUsage,
		"config set topic a b":                  exitUsage,
		"config set broker x a=1":               exitUsage,
		"config unset topic a b=1":              exitUsage,
		"config diff topic":                     exitUsage,
		"config diff topic a b c":               exitUsage,
		"topic alter a":                         exitUsage,
		"topic alter a --partitions 0":          exitUsage,
		"topic delete-records a":                exitUsage,
		"topic delete-records a --offset x":     exitUsage,
		"topic delete-records a --before x":     exitUsage,
		"topic list --topic (":                  exitUsage,
		"partition describe":                    exitUsage,
		"partition describe a:":                 exitUsage,
		"partition elect":                       exitUsage,
		"partition elect a --type x":            exitUsage,
		"partition producers":                   exitUsage,
		"consume a b":                           exitUsage,
		"consume a --no-commit":                 exitUsage,
		"consume a --instance-id x":             exitUsage,
		"consume a --group g --partition 0":     exitUsage,
		"consume a --group g --offset 7":        exitUsage,
		"consume a --group g --assignor x":      exitUsage,
		"group list -b 127.0.0.1:1":             exitFailed,
		"config set topic a b=1 -b 127.0.0.1:1": exitFailed,
		"consume a --group g -b 127.0.0.1:1":    exitFailed,
	} {
		endsWith(t, args, want)
	}
}

func TestAGroupGoesFromItsFirstRecordToItsEnd(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := "--bootstrap=" + c.ListenAddrs()[0]
	must(t, "1\n2\n3\n", "produce", "a", b, "--linger", "0")
	if out := must(t, "", "consume", "a", b, "-g", "g", "-n", "2"); out != "1\n2\n" {
		t.Errorf("consume: %q", out)
	}
	if out := must(t, "", "group", "describe", "g", b); !strings.Contains(out, "a      0          2          3        1    ") {
		t.Errorf("describe:\n%s", out)
	}
	code, out, stderr := call(t, "", "group", "reset-offsets", "g", b, "--topic", "a", "--to-offset", "9", "--export")
	if code != exitClean || out != "a,0,3\n" || !strings.Contains(stderr, "warning: a:0: offset 9 is behind its end, 3 is taken\n") ||
		!strings.Contains(stderr, "nothing was changed") {
		t.Errorf("export: %d %q %q", code, out, stderr)
	}
	must(t, "", "group", "reset-offsets", "g", b, "--all-topics", "--shift-by", "-2", "--execute")
	if out := must(t, "", "consume", "a", b, "-g", "g", "-e"); out != "1\n2\n3\n" {
		t.Errorf("consume again: %q", out)
	}
	if out := must(t, "", "__complete", "group", "describe", b, ""); !strings.HasPrefix(out, "g\n") {
		t.Errorf("completion: %s", out)
	}
	if out := must(t, "", "__complete", "config", "describe", b, "topic", ""); !strings.HasPrefix(out, "a\n") {
		t.Errorf("completion: %s", out)
	}
	must(t, "", "config", "set", "topic", "a", "retention.ms=5", b)
	if out := must(t, "", "config", "diff", "topic", "a", b, "-o", "yaml"); !strings.Contains(out, "name: retention.ms") {
		t.Errorf("diff: %s", out)
	}
	if out := must(t, "", "partition", "list", "a:0", b); !strings.Contains(out, "a      0          0       0         0    0      3    ") {
		t.Errorf("partitions:\n%s", out)
	}
	if out := must(t, "", "topic", "delete-records", "a", b, "--offset", "0:end"); !strings.HasSuffix(out, "0          0             3      3    3\n") {
		t.Errorf("records:\n%s", out)
	}
	if out := must(t, "", "group", "delete", "g", b); out != "deleted group g\n" {
		t.Errorf("delete: %q", out)
	}
}
