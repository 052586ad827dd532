package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestEveryRowIsMeasured runs all rows at sizes that say nothing, without Kafka.
func TestEveryRowIsMeasured(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	s, log := testSettings(t)
	bin := t.TempDir()
	for pkg, binary := range map[string]*string{"cmd/streambus": &s.streambus, "bench/ceiling": &s.ceiling} {
		*binary = filepath.Join(bin, filepath.Base(pkg))
		if err := s.tool(t.Context(), "", "go", "build", "-o", *binary, "github.com/streambus/streambus/"+pkg); err != nil {
			t.Fatal(err, log)
		}
	}
	p := fullPlan
	p.pairs, p.size, p.kafka, p.rowTimeout = 1, 2_000_000, false, time.Minute
	p.many, p.spread, p.rest, p.idle, p.quiet, p.warmUp = 50, 30, time.Millisecond, time.Millisecond, 20*time.Millisecond, 50*time.Millisecond
	if err := s.targets(t.Context(), p); err != nil {
		t.Error(err, log)
	}
	table, err := os.ReadFile(s.out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(table), "\n")
	for _, r := range allRows() {
		for _, f := range r.figures {
			if !hasFigure(lines, r, f.name) {
				t.Errorf("%s: no %s in\n%s", r.name, f.name, table)
			}
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(commands) == 0 {
		t.Fatal(commands, err)
	}
	for _, name := range commands {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), s.dir) {
			t.Errorf("still running: %s", strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}

// hasFigure looks for the figure, with a value of each side of the row that was measured, below the row's title.
func hasFigure(lines []string, r row, figure string) bool {
	at := 0
	for at < len(lines) && !strings.HasPrefix(lines[at], "| **"+r.title+"**") {
		at++
	}
	for _, line := range lines[min(at+1, len(lines)):] {
		cells := strings.Split(line, " | ")
		if strings.HasPrefix(line, "| **") || len(cells) < 8 {
			return false
		}
		if cells[0] == "| – "+figure {
			return strings.TrimSpace(cells[1]) != ""
		}
	}
	return false
}

func testSettings(t *testing.T) (settings, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	return settings{log: log, dir: t.TempDir(), out: filepath.Join(t.TempDir(), "table.md"), duration: 150 * time.Millisecond}, log
}

// madeUp is a row that measures nothing; round returns the value, or an error.
func madeUp(name string, round func(side string) (float64, error)) row {
	return row{
		name: name, title: "row " + name, sides: [columns]string{"a", "b", "c"}, reference: "the b",
		round: func(_ context.Context, _ *suite, side string) (values, error) {
			x, err := round(side)
			return values{recordsSec: x}, err
		},
		figures: []figure{{recordsSec, thousands, []goal{atLeast(beside, 0.7, "70% of b"), atLeast(theirs, 2, "2 x c")}}},
	}
}

func runMadeUp(t *testing.T, ctx context.Context, rows ...row) (string, error) {
	t.Helper()
	s, _ := testSettings(t)
	u := &suite{settings: s, plan: plan{pairs: 3, kafka: true, rowTimeout: time.Minute}}
	u.log = io.Discard
	err := u.run(ctx, rows)
	table, readErr := os.ReadFile(s.out)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(table), err
}

func TestSidesTakeTurns(t *testing.T) {
	order := ""
	r := madeUp("x", func(side string) (float64, error) { order += side; return 1, nil })
	r.warmUps = 1
	if _, err := runMadeUp(t, t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if want := "cba" + "abc" + "cba" + "abc"; order != want {
		t.Errorf("got %s, want %s", order, want)
	}
}

func TestRatiosAreOfPairs(t *testing.T) {
	given := map[string][]float64{"a": {100, 200, 900}, "b": {100, 400, 1000}, "c": {50, 200, 300}}
	table, err := runMadeUp(t, t.Context(), madeUp("x", func(side string) (float64, error) {
		x := given[side][0]
		given[side] = given[side][1:]
		return x, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := "| – records/s | 200 (150 to 550) | 400 (250 to 700), the b | 200 (125 to 250) | 0.90 (0.70 to 0.95) | 2.00 (1.50 to 2.50) | 70% of b; 2 x c | yes |"
	if !strings.Contains(table, want) {
		t.Errorf("no %q in\n%s", want, table)
	}
}

func TestARowThatFailsLeavesTheOthers(t *testing.T) {
	rounds := 0
	bad := madeUp("bad", func(string) (float64, error) {
		if rounds++; rounds > 4 {
			return 0, errors.New("the disk | is gone\nand more")
		}
		return 5, nil
	})
	table, err := runMadeUp(t, t.Context(), bad, madeUp("good", func(string) (float64, error) { return 7, nil }))
	if err == nil || !strings.Contains(err.Error(), "bad: b: the disk") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"FAILED: b: the disk / is gone) |", "| – records/s | 5 | 5, the b |", "**row good** (good; 3 pairs", "| – records/s | 7 (7 to 7) |"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestAnInterruptedRoundIsNone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rounds := 0
	table, err := runMadeUp(t, ctx, madeUp("x", func(string) (float64, error) {
		if rounds++; rounds == 4 {
			cancel()
		}
		return 5, nil
	}), madeUp("y", func(string) (float64, error) { return 7, nil }))
	if !errors.Is(err, context.Canceled) || rounds != 4 {
		t.Errorf("%d rounds, %v", rounds, err)
	}
	if !strings.Contains(table, "x; 1 pair;") || strings.Contains(table, "row y") {
		t.Errorf("got\n%s", table)
	}
}

func TestVerdictsNameWhatIsMissed(t *testing.T) {
	pair := func(a, b float64) [columns]values { return [columns]values{{p99: a}, {p99: b}} }
	for name, tc := range map[string]struct {
		pairs [][columns]values
		goals []goal
		want  string
	}{
		"all met":           {[][columns]values{pair(4, 2)}, []goal{below(5, ""), within(2, 1, "")}, "yes"},
		"one missed":        {[][columns]values{pair(6, 4)}, []goal{below(5, ""), within(1, 3, "")}, "**no**; yes"},
		"above":             {[][columns]values{pair(6, 4)}, []goal{above(6, ""), above(7, "")}, "yes; **no**"},
		"nothing beside it": {[][columns]values{{ours: {p99: 4}}}, []goal{atMost(theirs, 0.6, ""), below(5, "")}, "not measured; yes"},
		"ratio":             {[][columns]values{pair(1, 4), pair(2, 2), pair(3, 4)}, []goal{atMost(beside, 0.75, ""), atMost(beside, 0.74, "")}, "yes; **no**"},
	} {
		f := figure{p99, unit("%.0f"), tc.goals}
		if got := f.verdict(outcome{pairs: tc.pairs}.measured(p99)); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestAnUnknownRowIsNamed(t *testing.T) {
	s, _ := testSettings(t)
	for _, rows := range []string{"nope", "("} {
		p := fullPlan
		p.rows = rows
		if err := s.targets(t.Context(), p); err == nil || !strings.Contains(err.Error(), rows) {
			t.Errorf("%s: got %v", rows, err)
		}
	}
}

func TestRowsHaveSidesAndNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range allRows() {
		if seen[r.name] || r.title == "" || r.sides[ours] == "" || len(r.figures) == 0 || (r.sides[beside] == "") != (r.reference == "") {
			t.Errorf("%+v", r.name)
		}
		seen[r.name] = true
		for _, side := range r.sides {
			if _, ok := subjectOf(side); !ok && side != "" && side != syncLoop && side != fewPartitions {
				t.Errorf("%s: no subject %s", r.name, side)
			}
		}
	}
}
