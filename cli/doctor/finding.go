package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/streambus/streambus/cli"
)

// Severity is how bad a finding is.
type Severity string

// A problem keeps some client from working; a warning may, or will later.
const (
	OK      Severity = "ok"
	Warning Severity = "warning"
	Problem Severity = "problem"
)

// Finding is one thing that was found out. Why and Do are empty if all is well.
type Finding struct {
	Subject  string   `json:"subject"` // "bootstrap host:port", "broker 1 at host:port", "cluster"
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why,omitempty"` // why it matters
	Do       string   `json:"do,omitempty"`  // what to do about it
}

// Reached is one broker as it advertises itself, beside the bootstrap address that told of it.
type Reached struct {
	Bootstrap  string   `json:"bootstrap"`
	Broker     int32    `json:"broker"`
	Advertised string   `json:"advertised"`
	Rack       string   `json:"rack,omitempty"`
	Addresses  []string `json:"addresses"` // what the advertised host resolves to here
	Answers    string   `json:"answers"`   // in a word or two: what happens there
}

// Report is the result. Findings are in the order of the steps.
type Report struct {
	ClusterID  string    `json:"clusterId,omitempty"`
	Controller *int32    `json:"controller,omitempty"`
	Brokers    []Reached `json:"brokers"`
	Findings   []Finding `json:"findings"`
	Problems   int       `json:"problems"`
	Warnings   int       `json:"warnings"`
}

func (r *Report) add(list ...Finding) {
	for _, f := range list {
		switch f.Severity {
		case Problem:
			r.Problems++
		case Warning:
			r.Warnings++
		}
		r.Findings = append(r.Findings, f)
	}
}

// Healthy says that no problem was found; warnings are none.
func (r *Report) Healthy() bool { return r.Problems == 0 }

// WriteTable prints the findings under what they are about, then the brokers, then the sum.
func (r *Report) WriteTable(w io.Writer) error {
	subject := ""
	for _, f := range r.Findings {
		if f.Subject != subject {
			subject = f.Subject
			fmt.Fprintln(w, printable(subject))
		}
		f.write(w)
	}
	if err := r.writeBrokers(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.sum())
	return err
}

func (f *Finding) write(w io.Writer) {
	fmt.Fprintf(w, "  %-8s %s\n", f.Severity, printable(f.What))
	for _, part := range [][2]string{{"why", f.Why}, {"do", f.Do}} {
		if part[1] != "" {
			fmt.Fprintf(w, "           %s: %s\n", part[0], printable(part[1]))
		}
	}
}

func (r *Report) writeBrokers(w io.Writer) error {
	if len(r.Brokers) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := cli.NewTableWriter(w, "BOOTSTRAP", "BROKER", "ADVERTISED", "RESOLVES TO", "ANSWERS")
	for _, b := range r.Brokers {
		addresses := strings.Join(b.Addresses, ",")
		if addresses == "" {
			addresses = "-"
		}
		t.Row(b.Bootstrap, b.Broker, printable(b.Advertised), addresses, b.Answers)
	}
	return t.Flush()
}

func (r *Report) sum() string {
	if r.Problems == 0 && r.Warnings == 0 {
		return "no problems"
	}
	return count(r.Problems, "problem") + ", " + count(r.Warnings, "warning")
}

func count(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return what
}

// printable keeps what a stranger sent (host names, error texts) from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
