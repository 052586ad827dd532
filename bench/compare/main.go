// Command compare runs StreamBus and Apache Kafka on this machine in alternation (A B C, then C B A, so that a machine
// that gets slower is unfair to nobody), puts the same load of package bench on each and writes a table in Markdown.
//
// It is a tool for people who want to know or to check the numbers of docs/benchmarks.md; no test runs it. Every broker
// is a process of its own with ports, a directory and settings of its own, ended by its handle and cleaned up after.
// Kafka's jars come from Maven Central by name, once, into a cache directory.
//
// Read this file first, then subject.go (who is compared), round.go (with what load), report.go (the table).
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
)

// kafkaVersion is the release that is compared with.
const kafkaVersion = "4.3.1"

type settings struct {
	subjects  []string
	streambus string // binary
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
	s := settings{log: os.Stderr}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	var subjects string
	flag.StringVar(&subjects, "subjects", strings.Join(subjectNames(), ","), "what to compare, of "+strings.Join(subjectNames(), ", "))
	flag.StringVar(&s.streambus, "streambus", "", "the binary; empty: built from this checkout")
	flag.StringVar(&s.jars, "jars", filepath.Join(cache, "streambus", "kafka-"+kafkaVersion), "directory of Kafka's jars; filled by Maven if it is empty")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "where the brokers keep their data while they run: the disk that is measured")
	flag.IntVar(&s.rounds, "rounds", 1, "how often all are run forth and back")
	flag.DurationVar(&s.duration, "duration", 8*time.Second, "of each measured part")
	flag.DurationVar(&s.warmUp, "warm-up", 5*time.Second, "before it; a JVM needs some")
	flag.Int64Var(&s.maxBytes, "max-bytes", 4<<30, "bytes of values that one measured part writes at most")
	flag.StringVar(&s.out, "out", "-", "file for the table; -: standard output")
	flag.Parse()
	s.subjects = strings.Split(subjects, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
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
	return s.write(results)
}

func (s settings) write(results map[string][]round) error {
	w := io.Writer(os.Stdout)
	if s.out != "-" {
		f, err := os.Create(s.out)
		if err != nil {
			return err
		}
		defer f.Close()
		w = f
	}
	return report(w, s, results)
}
