package sim

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/invariants"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "first seed of TestManySeeds; 0: a random one")
	countFlag = flag.Int("n", 0, "seeds of TestManySeeds; 0: none")
	traceFlag = flag.String("trace", "", "file for every event of TestManySeeds' last seed")
	powerFlag = flag.Bool("powered", false, "in every seed of TestManySeeds the power of all nodes fails at once")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A collection in the middle of a run would have goroutines run in another order.
	debug.SetGCPercent(-1)
	os.Exit(m.Run())
}

// run runs one seed, and fails the test with all that is needed to run it again.
func run(t *testing.T, o Options) Result {
	t.Helper()
	r := Run(o)
	collect()
	if len(r.Findings) > 0 {
		t.Errorf("seed %d at commit %s breaks a promise:\n%s\n%s\n%s", o.Seed, commit(), r.Plan, r.Log, strings.Join(r.Findings, "\n"))
	}
	return r
}

// collect frees what runs have left, now and then.
func collect() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 150<<20 {
		runtime.GC()
	}
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(out))
}

// few is how many seeds an ordinary run of the tests takes.
func few(n int) int {
	if testing.Short() || invariants.Enabled {
		return max(n/8, 2)
	}
	return n
}

// The seeds of every test run. Those that have found something stand in docs/track_record.md and are among them.
func TestPromisesAreKept(t *testing.T) {
	var acked, faults int
	for seed := range uint64(few(48)) {
		r := run(t, Options{Seed: 1 + seed})
		acked, faults = acked+r.Acked, faults+r.Faults
	}
	if acked < 500*few(48) || faults < 4*few(48) {
		t.Errorf("only %d records were acknowledged, with %d faults: the seeds show nothing", acked, faults)
	}
}

// The power of all nodes fails at once: nothing that was acknowledged, and nothing that was ever shown, is gone.
func TestNothingIsLostWhenThePowerFailsEverywhere(t *testing.T) {
	for seed := range uint64(few(16)) {
		run(t, Options{Seed: 1000 + seed, Powered: true})
	}
}

// Whoever reads about a failure can have it again. Where the machine held a run up, Go's own scheduler may have changed it: then
// others are compared with it too, until two are the same.
func TestASeedIsOneRun(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the race detector runs goroutines in any order")
	}
	// Goroutines that wake one another share one slice of the scheduler, so that it may end though no step took long.
	const fewRuns, mostRuns = 4, 12
	type outcome struct {
		hash  uint64
		steps int
	}
	for seed := uint64(2000); seed < 2000+uint64(few(8)); seed++ {
		seen := map[outcome]bool{}
		same, disturbed := false, false
		for !same && (len(seen) < fewRuns || disturbed && len(seen) < mostRuns) {
			r := run(t, Options{Seed: seed})
			o := outcome{r.Hash, r.Steps}
			same, disturbed = seen[o], disturbed || r.Disturbed
			seen[o] = true
		}
		if !same {
			t.Errorf("seed %d: its runs are %+v; held up by the machine: %v", seed, seen, disturbed)
		}
	}
}

// What `make sim` runs.
func TestManySeeds(t *testing.T) {
	if *countFlag == 0 {
		t.Skip("no -n")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	began, bad := time.Now(), 0
	var acked, faults int
	for i := range *countFlag {
		o := Options{Seed: seed + uint64(i), Powered: *powerFlag}
		if *traceFlag != "" && i == *countFlag-1 {
			f, err := os.Create(*traceFlag)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Trace = func(line string) { fmt.Fprintln(f, line) }
		}
		r := run(t, o)
		acked, faults = acked+r.Acked, faults+r.Faults
		if len(r.Findings) > 0 {
			bad++
			fmt.Printf("seed %d: %s\n", r.Seed, r.Findings[0]) // the rest is printed at the end
		}
		if (i+1)%500 == 0 {
			fmt.Printf("%d seeds so far, %d with findings\n", i+1, bad)
		}
	}
	fmt.Printf("%d seeds from %d on: %d records acknowledged, %d faults, %d seeds with findings, in %v\n",
		*countFlag, seed, acked, faults, bad, time.Since(began).Round(time.Millisecond))
}
