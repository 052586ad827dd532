package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/bench"
)

func TestTheTableShowsMeansAndEachRun(t *testing.T) {
	run := func(rate float64) round {
		r := &bench.Result{RecordsSec: rate, Latency: &bench.Latency{P50: 1500, P99: 2000}, Broker: &bench.Process{MicrosPerRecord: 0.25}}
		p := &bench.Process{RSS: 40e6}
		return round{firstAck: 100 * time.Millisecond, idle: p, loaded: p, large: r, small: r, consume: r, e2e: r}
	}
	var out bytes.Buffer
	s := settings{subjects: []string{"streambus", "kafka"}, rounds: 1, dir: t.TempDir()}
	if err := report(&out, s, map[string][]round{"streambus": {run(1e6), run(3e6)}, "kafka": {run(1234), run(1234)}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| | StreamBus | Apache Kafka " + kafkaVersion + " |\n|---|---|---|\n",
		"| produce 1000 x 100 B, records/s | **2,000,000** (1,000,000; 3,000,000) | **1,234** (1,234; 1,234) |",
		"| end to end at 1,000 records/s, p50 | **1.50 ms** (1.50 ms; 1.50 ms) |",
		"| memory idle, VmRSS | **40 MB** (40 MB; 40 MB) |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestAnUnknownSubjectIsNamed(t *testing.T) {
	if err := run(t.Context(), settings{subjects: []string{"redis"}}); err == nil || !strings.Contains(err.Error(), `"redis"`) {
		t.Errorf("got %v", err)
	}
}

func TestEverySubjectIsListed(t *testing.T) {
	if len(subjectNames()) != len(subjects) {
		t.Errorf("%d names, %d subjects", len(subjectNames()), len(subjects))
	}
	for _, n := range subjectNames() {
		if s := subjects[n]; s.title == "" || s.note == "" || s.command == nil {
			t.Errorf("%s: %+v", n, s.title)
		}
	}
}
