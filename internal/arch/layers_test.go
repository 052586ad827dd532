package arch

import (
	"strings"
	"testing"
)

// lines says how high each package stands. A package imports only packages of lower lines, so neighbours on a line never
// import each other and nothing calls upward. A package that is not named stands with its nearest named parent.
var lines = map[string]int{
	"cmd/streambus":       9,
	"sim":                 9,
	"node":                8,
	"admin":               7,
	"telemetry":           7,
	"link":                7,
	"cli":                 7,
	"bench":               7,
	"broker":              6,
	"shard":               5,
	"controller/quorum":   5,
	"partition":           4,
	"replication":         3,
	"groups":              3,
	"txns":                3,
	"controller":          3,
	"security":            3,
	"log":                 2,
	"peer":                2,
	"kafkaproto":          1,
	"config":              1,
	"internal/machine":    0,
	"internal/env":        0,
	"internal/invariants": 0,
	"internal/planted":    0,
	"internal/wakeful":    0,
}

// outside are the packages that no production code may import, with the reason.
var outside = map[string]string{
	"internal/arch": "it is tests only",
	"docs":          "it is tests only",
}

// forbidden are edges that the lines would allow, with the reason why they are broken rules all the same.
var forbidden = []struct{ from, to, reason string }{
	{"log", "config", "the engine takes an Options struct; node maps configuration to it, so the engine can be used and tested without any"},
	{"cli", "broker", "the admin commands speak only the Kafka protocol, so that they work on Apache Kafka too"},
	{"cli", "partition", "the admin commands speak only the Kafka protocol"},
	{"cli", "log", "the admin commands speak only the Kafka protocol"},
	{"cli", "controller", "the admin commands speak only the Kafka protocol"},
	{"bench", "broker", "the load driver is a client of any broker"},
	{"bench", "partition", "the load driver is a client of any broker"},
	{"bench", "log", "the load driver is a client of any broker"},
	{"bench", "controller", "the load driver is a client of any broker"},
}

// lineOf finds a package's line by its nearest named parent.
func lineOf(pkg string) (string, int, bool) {
	for p := pkg; p != "." && p != ""; {
		if n, ok := lines[p]; ok {
			return p, n, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return "", 0, false
}

func TestPackagesImportOnlyLowerLines(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, ok := outside[s.pkg]; ok {
			continue
		}
		from, fromLine, ok := lineOf(s.pkg)
		if !ok {
			t.Errorf("%s: package %s has no line in this test's table: give it one, and docs/ARCHITECTURE.md a word on it", s.path, s.pkg)
			continue
		}
		for _, im := range s.imports() {
			to, ok := strings.CutPrefix(im, module+"/")
			if !ok {
				continue
			}
			checkEdge(t, s, from, fromLine, to)
		}
	}
}

func checkEdge(t *testing.T, s source, from string, fromLine int, to string) {
	t.Helper()
	if reason, ok := outside[to]; ok {
		t.Errorf("%s imports %s: %s", s.path, to, reason)
		return
	}
	toFamily, toLine, ok := lineOf(to)
	if !ok {
		t.Errorf("%s imports %s, which has no line in this test's table", s.path, to)
		return
	}
	if toFamily != from && toLine >= fromLine {
		t.Errorf("%s: %s (line %d) imports %s (line %d): a package imports only lower lines", s.path, from, fromLine, to, toLine)
	}
	for _, f := range forbidden {
		if f.from == from && (f.to == toFamily || strings.HasPrefix(toFamily, f.to+"/")) {
			t.Errorf("%s: %s imports %s: %s", s.path, from, to, f.reason)
		}
	}
}
