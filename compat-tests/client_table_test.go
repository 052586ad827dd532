package compat

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What a test run has found out of each client is kept in client_table.json, and the README's table is made of it:
// `go test -run 'TestEveryClient|TestRealInputGoes' -update .`

var update = flag.Bool("update", false, "write client_table.json and the README's table from this run")

const (
	resultsFile = "client_table.json"
	works       = "yes"
	fails       = "FAILS"
	lacking     = "not in client: "
	threeNodes  = "three nodes" // all of it that the client has, on a cluster
)

// clientRun is what one client did in a run.
type clientRun struct {
	mu      sync.Mutex
	Version string            `json:"version"`
	Runtime string            `json:"runtime"`
	Steps   map[string]string `json:"steps"` // works, fails, or lacking with the reason
}

func (r *clientRun) is(d *driver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Version, r.Runtime = d.version, d.runtime
}

// note keeps an outcome; once a failure, always one.
func (r *clientRun) note(step, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Steps[step] != fails {
		r.Steps[step] = outcome
	}
}

// sumUp notes as one step what another run has found.
func (r *clientRun) sumUp(step string, all *clientRun) {
	r.mu.Lock()
	r.Version, r.Runtime = all.Version, all.Runtime
	r.mu.Unlock()
	outcome := works
	if len(all.Steps) == 0 || slices.Contains(slices.Collect(maps.Values(all.Steps)), fails) {
		outcome = fails
	}
	r.note(step, outcome)
}

// runs are all clients' of this process.
type runs struct {
	mu  sync.Mutex
	all map[string]*clientRun
}

var results = &runs{all: map[string]*clientRun{}}

func (r *runs) of(c client) *clientRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[c.Name] == nil {
		r.all[c.Name] = &clientRun{Steps: map[string]string{}}
	}
	return r.all[c.Name]
}

// keep writes what was found over what the file has of the clients that ran, with -update.
func (r *runs) keep(t *testing.T) {
	t.Helper()
	if !*update {
		return
	}
	kept := readRuns(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, run := range r.all {
		if run.Version == "" {
			continue // did not run
		}
		if old := kept[name]; old != nil && old.Version == run.Version {
			for step, outcome := range old.Steps {
				if _, ok := run.Steps[step]; !ok {
					run.Steps[step] = outcome // of another test
				}
			}
		}
		kept[name] = run
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resultsFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	before, _, after := cutReadme(t)
	if err := os.WriteFile("../README.md", []byte(before+tableBegin+clientTable(t, kept)+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readRuns(t *testing.T) map[string]*clientRun {
	t.Helper()
	kept := map[string]*clientRun{}
	text, err := os.ReadFile(resultsFile)
	if os.IsNotExist(err) {
		return kept
	}
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// tableColumns are the README's, each of one or more steps.
var tableColumns = []struct {
	title string
	steps []string
}{
	{"create topic", []string{"create topic"}},
	{"produce, all compressions", []string{"produce none", "produce gzip", "produce snappy", "produce lz4", "produce zstd"}},
	{"idempotent", []string{"produce idempotent"}},
	{"consume from start, offset, end", []string{"consume from start", "consume from offset", "consume from end"}},
	{"from time", []string{"consume from time", "offset for time"}},
	{"group of three, one leaves, one dies", []string{"group", "members leave and die"}},
	{"commit, resume", []string{"commit and resume"}},
	{"static members", []string{"static members"}},
	{"cooperative", []string{"cooperative"}},
	{"list, describe groups", []string{"list and describe groups"}},
	{"configs", []string{"describe configs", "alter configs"}},
	{"delete records", []string{"delete records"}},
	{"cross-wise", []string{"cross-wise"}},
	{threeNodes, []string{threeNodes}},
}

const (
	tableBegin = "<!-- clients: begin (go test -run 'TestEveryClient|TestRealInputGoes' -update, in compat-tests) -->\n"
	tableEnd   = "<!-- clients: end -->\n"
)

// TestReadmesClientTableIsOfARun holds the README's table against the run that is kept, and both against the drivers'.
func TestReadmesClientTableIsOfARun(t *testing.T) {
	if *update {
		t.Skip("the tests that run the clients write it")
	}
	kept := readRuns(t)
	table := clientTable(t, kept)
	_, old, _ := cutReadme(t)
	if old != table {
		t.Errorf("README.md's client table is not the one of %s; -update makes it:\n%s", resultsFile, table)
	}
	for name, run := range kept {
		for step, outcome := range run.Steps {
			if outcome == fails {
				t.Errorf("%s: %s fails", name, step)
			}
		}
	}
}

// cutReadme gives the README's parts around and between the table's marks.
func cutReadme(t *testing.T) (before, table, after string) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), tableBegin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md has no %q ... %q", tableBegin, tableEnd)
	}
	return before, table, after
}

// clientTable renders the table; every client of the drivers' is in it, with its version.
func clientTable(t *testing.T, kept map[string]*clientRun) string {
	var out strings.Builder
	out.WriteString("| client | version |")
	for _, c := range tableColumns {
		fmt.Fprintf(&out, " %s |", c.title)
	}
	out.WriteString(" not in the client |\n" + strings.Repeat("|---", len(tableColumns)+3) + "|\n")
	for _, c := range allClients(t) {
		run := kept[c.Name]
		if run == nil || !strings.HasPrefix(run.Version, c.Version) {
			t.Errorf("%s %s has not run", c.Name, c.Version)
			continue
		}
		fmt.Fprintf(&out, "| %s (%s) | %s |", c.Library, c.Language, run.Version)
		for _, column := range tableColumns {
			fmt.Fprintf(&out, " %s |", cell(run, column.steps))
		}
		fmt.Fprintf(&out, " %s |\n", strings.Join(slices.Sorted(maps.Keys(c.Lacks)), ", "))
		for step := range run.Steps {
			if !hasColumn(step) {
				t.Errorf("%s: no column for %q", c.Name, step)
			}
		}
	}
	return out.String()
}

// cell sums up the steps of a column: yes, and what of it is not in the client.
func cell(run *clientRun, steps []string) string {
	sum := ""
	var without []string
	for _, step := range steps {
		switch outcome := run.Steps[step]; {
		case outcome == fails:
			return fails
		case outcome == "":
			return "not run"
		case outcome == works:
			sum = works
		default:
			without = append(without, step[strings.LastIndex(step, " ")+1:])
		}
	}
	switch {
	case sum == "":
		return "-"
	case len(without) > 0:
		return sum + ", no " + strings.Join(without, ", ")
	}
	return sum
}

func hasColumn(step string) bool {
	for _, c := range tableColumns {
		for _, s := range c.steps {
			if s == step {
				return true
			}
		}
	}
	return false
}
