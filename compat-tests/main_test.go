package compat

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// program is the program under test: STREAMBUS_BIN, or built here from the checkout.
var program = os.Getenv("STREAMBUS_BIN")

// againstKafka runs the tests that make sense there against Apache Kafka 4.3.1 itself: what the tests ask for is then
// known to be what Kafka does.
var againstKafka = os.Getenv("COMPAT_BROKER") == "kafka"

// full runs the tests at the size that the goals name, not at the one that suits every `make test`.
var full = os.Getenv("COMPAT_FULL") != ""

// inCI turns what is left out on a poorer machine into failures.
var inCI = os.Getenv("CI") == "true"

// atOnce is how many parallel tests run: they wait for processes and sessions most of the time.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		flag.Set("test.parallel", atOnce)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if program == "" && !againstKafka {
		dir, err := os.MkdirTemp("", "streambus-bin")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "streambus")
		if err := buildProgram(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	removeCorpus()
	removeDrivers()
	return code
}

// buildProgram builds the checkout's binary, with more flags of `go build`.
func buildProgram(path string, flags ...string) error {
	build := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"./cmd/streambus"})...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return nil
}

// leaveOut skips the test with the reason; in CI nothing may be left out.
func leaveOut(t testing.TB, format string, args ...any) {
	t.Helper()
	if inCI {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// needTool leaves the test out on a machine without the program.
func needTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		leaveOut(t, "%s is not on this machine (make setup installs it as root)", name)
	}
}

// notKafka leaves out what Apache Kafka does not promise.
func notKafka(t testing.TB) {
	t.Helper()
	if againstKafka {
		t.Skip("a promise of StreamBus, not of Apache Kafka")
	}
}
