package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// metric is a row of the table.
type metric struct {
	name   string
	value  func(round) float64
	format func(float64) string
}

var metrics = []metric{
	{"exec to first acknowledged record, empty directory", func(r round) float64 { return r.firstAck.Seconds() * 1e3 }, unit("%.0f ms")},
	{"memory idle, VmRSS", func(r round) float64 { return mb(r.idle.RSS) }, unit("%.0f MB")},
	{"produce 1000 x 100 B, records/s", func(r round) float64 { return r.large.RecordsSec }, thousands},
	{"– CPU a record", func(r round) float64 { return r.large.Broker.MicrosPerRecord }, unit("%.3f µs")},
	{"– p99 to acknowledgement", func(r round) float64 { return float64(r.large.Latency.P99) / 1e3 }, unit("%.1f ms")},
	{"produce 10 x 100 B, records/s", func(r round) float64 { return r.small.RecordsSec }, thousands},
	{"– CPU a record", func(r round) float64 { return r.small.Broker.MicrosPerRecord }, unit("%.2f µs")},
	{"– p99 to acknowledgement", func(r round) float64 { return float64(r.small.Latency.P99) / 1e3 }, unit("%.1f ms")},
	{"consume, records/s", func(r round) float64 { return r.consume.RecordsSec }, thousands},
	{"– CPU a record", func(r round) float64 { return r.consume.Broker.MicrosPerRecord }, unit("%.3f µs")},
	{"end to end at 1,000 records/s, p50", func(r round) float64 { return float64(r.e2e.Latency.P50) / 1e3 }, unit("%.2f ms")},
	{"– p99", func(r round) float64 { return float64(r.e2e.Latency.P99) / 1e3 }, unit("%.2f ms")},
	{"– CPU a record", func(r round) float64 { return r.e2e.Broker.MicrosPerRecord }, unit("%.0f µs")},
	{"memory after the load, VmRSS", func(r round) float64 { return mb(r.loaded.RSS) }, unit("%.0f MB")},
	{"– RssAnon", func(r round) float64 { return mb(r.loaded.Anonymous) }, unit("%.0f MB")},
}

func mb(n int64) float64 { return float64(n) / 1e6 }

func unit(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v) }
}

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// report writes the table: the mean of a subject's rounds, and each round beside it, because a mean of two says
// nothing about how far apart they are.
func report(out io.Writer, s settings, results map[string][]round) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s\n\n", machine(s.dir))
	fmt.Fprintf(w, "Produce: %d partitions, acks all, one batch a request, %d requests in flight on each of %d connections (1000 x 100 B) "+
		"or %d (10 x 100 B). Consume: %d connections. Each part %s after %s of warm-up. Mean of %d runs, in brackets each.\n\n",
		partitions, inFlight, largeConnections, smallConnections, largeConnections, s.duration, s.warmUp, 2*s.rounds)
	fmt.Fprint(w, "| |")
	for _, name := range s.subjects {
		fmt.Fprintf(w, " %s |", subjects[name].title)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(s.subjects)))
	for _, m := range metrics {
		fmt.Fprintf(w, "| %s |", m.name)
		for _, name := range s.subjects {
			fmt.Fprintf(w, " %s |", m.cell(results[name]))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for _, name := range s.subjects {
		fmt.Fprintf(w, "- %s: %s.\n", subjects[name].title, subjects[name].note)
	}
	return w.Flush()
}

func (m metric) cell(rounds []round) string {
	var sum float64
	each := make([]string, len(rounds))
	for i, r := range rounds {
		v := m.value(r)
		sum += v
		each[i] = m.format(v)
	}
	return fmt.Sprintf("**%s** (%s)", m.format(sum/float64(len(rounds))), strings.Join(each, "; "))
}

// machine says where the numbers are from.
func machine(dir string) string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	parts := []string{fmt.Sprintf("%d cores of %s", runtime.NumCPU(), cpu)}
	if v := output("uname", "-sr"); v != "" {
		parts = append(parts, v)
	}
	if v := output("stat", "-f", "-c", "%T", dir); v != "" {
		parts = append(parts, "data on "+v)
	}
	parts = append(parts, runtime.Version())
	if v := output("java", "-version"); v != "" {
		parts = append(parts, v)
	}
	return "Driver and broker share " + strings.Join(parts, ", ") + "."
}

func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(first)
}
