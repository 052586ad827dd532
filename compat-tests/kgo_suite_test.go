package compat

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	kgoPackage = "github.com/twmb/franz-go/pkg/kgo"
	kgoKnown   = "kgo_known.txt"
)

// kgoEvent is a line of `go test -json`.
type kgoEvent struct {
	Action, Test, Output string
}

// TestFranzGosOwnIntegrationTests runs the tests that franz-go's author runs against brokers. Those that fail for a known
// reason are in kgo_known.txt; any other failure is one here, and so is a listed one that passes.
func TestFranzGosOwnIntegrationTests(t *testing.T) {
	kgoSuite(t, func(t *testing.T) system { return startBroker(t) })
}

// TestFranzGosOwnIntegrationTestsOnThreeNodes has three replicas of each topic, two of which must be in sync.
func TestFranzGosOwnIntegrationTestsOnThreeNodes(t *testing.T) {
	kgoSuite(t, func(t *testing.T) system { return startThree(t) })
}

func kgoSuite(t *testing.T, start func(t *testing.T) system) {
	if !full {
		t.Parallel()
	}
	sys := start(t)
	records, within := "5000", 5*time.Minute
	if full {
		records, within = "500000", 30*time.Minute
	}
	known := knownFailures(t)
	cmd := exec.Command(buildKgoTests(t), "-test.v=test2json", "-test.timeout="+within.String(), "-test.skip="+strings.Join(hopeless(known), "|"))
	cmd.Dir = kgoSources(t)
	cmd.Env = append(os.Environ(), "KGO_SEEDS="+sys.bootstrap(), "KGO_TEST_RF="+strconv.Itoa(sys.replicas()), "KGO_TEST_RECORDS="+records)
	outcomes, outputs := runKgo(t, cmd)
	passed, skipped := 0, 0
	for test, outcome := range outcomes {
		why, listed := known[test]
		switch {
		case outcome == "pass" && listed && !againstKafka:
			t.Errorf("%s passes and is listed in %s (%s)", test, kgoKnown, why)
		case outcome == "pass":
			passed++
		case outcome == "skip":
			skipped++
		case outcome == "fail" && !listed && !parentOfListed(test, outcomes, known):
			t.Errorf("%s fails:\n%s", test, lastBytes([]byte(outputs[test]), 4000))
		}
	}
	if passed < 100 {
		t.Errorf("only %d tests passed: have they run?", passed)
	}
	t.Logf("%d passed, %d skipped by themselves, %d known to fail", passed, skipped, len(known))
}

// buildKgoTests compiles the tests: they run as a process of this one's, which ends with it.
func buildKgoTests(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kgo.test")
	if out, err := exec.Command("go", "test", "-c", "-o", path, kgoPackage).CombinedOutput(); err != nil {
		t.Fatalf("building the tests of %s: %v\n%s", kgoPackage, err, out)
	}
	return path
}

// kgoSources is the package's folder, which some tests read.
func kgoSources(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", kgoPackage).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// runKgo gives each test's outcome and output.
func runKgo(t *testing.T, cmd *exec.Cmd) (outcomes, outputs map[string]string) {
	t.Helper()
	errs := &lastText{}
	convert := exec.Command("go", "tool", "test2json")
	convert.Stderr, cmd.Stderr = errs, errs
	convert.SysProcAttr, cmd.SysProcAttr = dieWithParent(), dieWithParent()
	text, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	convert.Stdin = text
	out, err := convert.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), convert.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill() // if it has not ended
		cmd.Wait()         // its exit code says no more than the events
		convert.Wait()
	}()
	outcomes, outputs = map[string]string{}, map[string]string{}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 1<<20), 16<<20)
	for lines.Scan() {
		var e kgoEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v in %.200q\n%s", err, lines.Bytes(), errs)
		}
		switch e.Action {
		case "output":
			outputs[e.Test] += e.Output
		case "pass", "fail", "skip":
			outcomes[e.Test] = e.Action
		}
	}
	if outcomes[""] == "" {
		t.Fatalf("the tests did not end by themselves: %v\n%s", lines.Err(), errs)
	}
	for test, output := range outputs { // a test that hung has no outcome of its own
		if _, ok := outcomes[test]; !ok && strings.Contains(output, "=== RUN") {
			outcomes[test] = "fail"
		}
	}
	if outcomes[""] == "fail" && strings.Contains(outputs[""], "panic") {
		t.Errorf("the tests ended early:\n%s", lastBytes([]byte(outputs[""]), 4000))
	}
	delete(outcomes, "") // the package's
	return outcomes, outputs
}

// knownFailures are the lines `TestName: why` of kgo_known.txt; `TestName (hangs): why` is not even run. Apache Kafka has
// none.
func knownFailures(t *testing.T) map[string]string {
	t.Helper()
	known := map[string]string{}
	if againstKafka {
		return known
	}
	text, err := os.ReadFile(kgoKnown)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		test, why, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%s: no reason in %q", kgoKnown, line)
		}
		known[test] = why
	}
	return known
}

const hangs = " (hangs)"

// hopeless are the tests that would run into their timeout, as patterns for -skip.
func hopeless(known map[string]string) []string {
	patterns := []string{"^$"}
	for test := range known {
		if name, ok := strings.CutSuffix(test, hangs); ok {
			patterns = append(patterns, "^"+strings.ReplaceAll(name, "/", "$/^")+"$")
		}
	}
	slices.Sort(patterns)
	return patterns
}

// parentOfListed says that a test fails only since a part of it does that is listed.
func parentOfListed(test string, outcomes, known map[string]string) bool {
	found := false
	for part, outcome := range outcomes {
		if outcome != "fail" || !strings.HasPrefix(part, test+"/") {
			continue
		}
		if _, listed := known[part]; !listed && !parentOfListed(part, outcomes, known) {
			return false
		}
		found = true
	}
	return found
}
