// Command compare runs StreamBus and Apache Kafka on this machine in alternation (A B C, then C B A, so that a machine
// that gets slower is unfair to nobody), puts the same load of package bench on each and writes a table in Markdown. With
// -targets it goes through the figures that StreamBus is to reach, each beside what it is told as a share of (`make bench`).
//
// It is a tool for people who want to know or to check the numbers of docs/benchmarks.md; of it, a test runs the smallest
// sizes alone. Every broker is a process of its own with ports, a directory and settings of its own, ended by its handle and
// cleaned up after. Kafka's jars come from Maven Central by name, once, into a cache directory.
//
// Read this file first, then subject.go (who is compared), round.go (with what load), report.go (the table); for -targets
// suite.go (how rows are run), rows.go (which there are), targets.go (the table).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/internal/wakeful"
)

// kafkaVersion is the release that is compared with.
const kafkaVersion = "4.3.1"

type settings struct {
	subjects  []string
	streambus string // binary
	ceiling   string // binary
	jars      string // directory
	dir       string
	rounds    int
	duration  time.Duration
	warmUp    time.Duration
	maxBytes  int64
	out       string
	log       io.Writer
}

func main() {
	wakeful.Relaunch()
	s := settings{log: os.Stderr}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	plan := fullPlan
	var subjects string
	targets := flag.Bool("targets", false, "go through the figures that StreamBus is to reach; what follows marked so belongs to it")
	flag.StringVar(&subjects, "subjects", strings.Join(subjectNames(), ","), "what to compare, of "+strings.Join(subjectNames(), ", "))
	flag.StringVar(&s.streambus, "streambus", "", "the binary; empty: built from this checkout")
	flag.StringVar(&s.ceiling, "ceiling", "", "-targets: the ceiling's binary; empty: built from this checkout")
	flag.StringVar(&s.jars, "jars", filepath.Join(cache, "streambus", "kafka-"+kafkaVersion), "directory of Kafka's jars; filled by Maven if it is empty")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "where the brokers keep their data while they run: the disk that is measured")
	flag.IntVar(&s.rounds, "rounds", 1, "how often all are run forth and back")
	flag.DurationVar(&s.duration, "duration", 8*time.Second, "of each measured part; -targets: of a round that SIZE does not end before")
	flag.DurationVar(&s.warmUp, "warm-up", 5*time.Second, "before it; a JVM needs some")
	flag.Int64Var(&s.maxBytes, "max-bytes", 4<<30, "bytes of values that one measured part writes at most")
	flag.StringVar(&plan.rows, "rows", "", "-targets: a regular expression of the rows' names; empty: all of "+strings.Join(rowNames(), ", "))
	flag.IntVar(&plan.pairs, "pairs", plan.pairs, "-targets: rounds of each side that count")
	flag.Int64Var(&plan.size, "size", plan.size, "-targets: bytes of values of a round")
	flag.BoolVar(&plan.kafka, "kafka", plan.kafka, "-targets: run Apache Kafka too")
	flag.DurationVar(&plan.kafkaWarmUp, "kafka-warm-up", plan.kafkaWarmUp, "-targets: of a row's load that Kafka has before its first round, at least")
	flag.DurationVar(&plan.rowTimeout, "row-timeout", plan.rowTimeout, "-targets: how long a row may take")
	flag.StringVar(&s.out, "out", "-", "file for the table; -: standard output")
	flag.Parse()
	s.subjects = strings.Split(subjects, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *targets {
		err = s.targets(ctx, plan)
	} else {
		err = run(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run measures everything and writes the table.
func run(ctx context.Context, s settings) error {
	for _, name := range s.subjects {
		if _, ok := subjects[name]; !ok {
			return fmt.Errorf("unknown subject %q (known: %s)", name, strings.Join(subjectNames(), ", "))
		}
	}
	if err := s.provide(ctx); err != nil {
		return err
	}
	results := map[string][]round{}
	for i := range 2 * s.rounds {
		order := slices.Clone(s.subjects)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			fmt.Fprintf(s.log, "round %d of %d: %s\n", i+1, 2*s.rounds, subjects[name].title)
			r, err := s.round(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			results[name] = append(results[name], r)
		}
	}
	return s.write(func(w io.Writer) error { return report(w, s, results) })
}

// write has a table written to where it belongs.
func (s settings) write(table func(io.Writer) error) error {
	if s.out == "-" {
		return table(os.Stdout)
	}
	f, err := os.Create(s.out)
	if err != nil {
		return err
	}
	defer f.Close()
	return table(f)
}
