package main

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streambus/streambus/config"
)

// broker starts a node on a free port that advertises what is asked for, or what it is bound to if that is empty.
func broker(t *testing.T, advertise string) string {
	t.Helper()
	flags := map[string]string{
		"log.dirs": filepath.Join(t.TempDir(), "data"), "listeners": "PLAINTEXT://127.0.0.1:0",
		"cluster.listener": "127.0.0.1:0", "admin.listener": "127.0.0.1:0",
	}
	if advertise != "" {
		flags["advertised.listeners"] = "PLAINTEXT://" + advertise
	}
	cfg, _, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	n, err := startNode(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(t.Context()) })
	return n.Addr()
}

func TestTheDoctorFindsNoProblemWithABrokerAsItStarts(t *testing.T) {
	at := broker(t, "")
	must(t, "x\n", "produce", "a", "-b", at)
	out := must(t, "", "doctor", "-b", at)
	for _, want := range []string{"bootstrap " + at, "1 partition, each with a leader", "broker 1 of this cluster answers there", "0 problems"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestTheDoctorPrintsTheAdvertisedAddressBesideTheBootstrapAddress(t *testing.T) {
	at := broker(t, "kafka-1.invalid:9092")
	code, out, stderr := call(t, "", "doctor", "-b", at, "-o", "json")
	var report struct {
		Problems int
		Brokers  []struct{ Bootstrap, Advertised, Answers string }
		Findings []struct{ Severity, What, Why, Do string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailed || stderr != "" || report.Problems != 1 {
		t.Fatalf("%d %v %s%s", code, err, out, stderr)
	}
	if b := report.Brokers[0]; b.Bootstrap != at || b.Advertised != "kafka-1.invalid:9092" || !strings.HasPrefix(b.Answers, "name ") {
		t.Errorf("%+v", b)
	}
	last := report.Findings[len(report.Findings)-1]
	if last.Severity != "problem" || !strings.Contains(last.Do, "advertised.listeners=PLAINTEXT://"+at) {
		t.Errorf("%+v", last)
	}
}

func TestTheDoctorsFlagsAreCompleted(t *testing.T) {
	if out := must(t, "", "__complete", "doctor", "-o", ""); !strings.HasPrefix(out, "table\njson\nyaml\n:4") {
		t.Errorf("-o: %q", out)
	}
	if out := must(t, "", "__complete", "doctor", "-b", ""); !strings.HasPrefix(out, ":4") {
		t.Errorf("-b: %q", out)
	}
	if out := must(t, "", "__complete", "doc"); !strings.HasPrefix(out, "doctor\t") {
		t.Errorf("name: %q", out)
	}
}
