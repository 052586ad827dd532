package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/bench"
)

// figure is one line of the table.
type figure struct {
	name   string
	format func(float64) string
	goals  []goal
}

// goal is what a figure should reach.
type goal struct {
	text string
	// met says whether it does; known is false if what it needs was not measured.
	met func(measured) (met, known bool)
}

// measured is what the rounds found of one figure.
type measured struct {
	value [columns]bench.Quartiles
	ratio [columns]bench.Quartiles // of StreamBus to that column, of the pairs
	count [columns]int             // rounds
	pairs [columns]int             // rounds of StreamBus and that column both
}

func (o outcome) measured(name string) (m measured) {
	var value, ratio [columns][]float64
	for _, pair := range o.pairs {
		for c, v := range pair {
			x, ok := v[name]
			if !ok {
				continue
			}
			value[c] = append(value[c], x)
			if own, ok := pair[ours][name]; ok && x > 0 {
				ratio[c] = append(ratio[c], own/x)
			}
		}
	}
	for c := range columns {
		m.value[c], m.ratio[c] = bench.QuartilesOf(value[c]), bench.QuartilesOf(ratio[c])
		m.count[c], m.pairs[c] = len(value[c]), len(ratio[c])
	}
	return m
}

// The goals compare medians: of the pairs' ratios, or of StreamBus's own rounds.

func atLeast(column int, share float64, text string) goal {
	return goal{text, func(m measured) (bool, bool) { return m.ratio[column].Median >= share, m.pairs[column] > 0 }}
}

func atMost(column int, share float64, text string) goal {
	return goal{text, func(m measured) (bool, bool) { return m.ratio[column].Median <= share, m.pairs[column] > 0 }}
}

// below is about the figure itself.
func below(limit float64, text string) goal {
	return goal{text, func(m measured) (bool, bool) { return m.value[ours].Median <= limit, m.count[ours] > 0 }}
}

func above(limit float64, text string) goal {
	return goal{text, func(m measured) (bool, bool) { return m.value[ours].Median >= limit, m.count[ours] > 0 }}
}

// within allows share times what is beside it, and more on top.
func within(share, more float64, text string) goal {
	return goal{text, func(m measured) (bool, bool) {
		return m.value[ours].Median <= share*m.value[beside].Median+more, m.count[ours] > 0 && m.count[beside] > 0
	}}
}

// show is a round in a line, for who watches.
func (r row) show(v values) string {
	var parts []string
	for _, f := range r.figures {
		if x, ok := v[f.name]; ok {
			parts = append(parts, f.name+" "+f.format(x))
		}
	}
	return strings.Join(parts, ", ")
}

func (u *suite) writeTargets(outcomes []outcome) error {
	return u.write(func(w io.Writer) error { return reportTargets(w, u.settings, u.plan, outcomes) })
}

func reportTargets(out io.Writer, s settings, p plan, outcomes []outcome) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s\n\n", machine(s.dir))
	fmt.Fprintf(w, "Rounds of %s MB of values or of %s, whichever comes first; A B C, C B A; %d pairs, where nothing else is said. Before each "+
		"round the data of the one before is removed and everything is synced; every round has a topic of its own, and the ceiling a process "+
		"of its own. The first batch of each partition is sent before a round of produce begins. Medians and quartiles of the rounds; ratios are of the rounds of a pair, StreamBus divided by the other.\n\n",
		thousands(float64(p.size)/1e6), s.duration, p.pairs)
	fmt.Fprintf(w, "| figure | StreamBus | beside it | Apache Kafka %s | ratio to it | ratio to Kafka | target | met |\n|---|---|---|---|---|---|---|---|\n", kafkaVersion)
	var total time.Duration
	for _, o := range outcomes {
		total += o.took
		o.writeTo(w)
	}
	fmt.Fprintf(w, "\nAll of it took %s.\n", total.Round(time.Second))
	return w.Flush()
}

func (o outcome) writeTo(w io.Writer) {
	fmt.Fprintf(w, "| **%s** (%s) | | | | | | | |\n", o.row.title, o.note())
	for _, f := range o.row.figures {
		m := o.measured(f.name)
		if m.count[ours] == 0 {
			continue
		}
		fmt.Fprintf(w, "| – %s | %s | %s | %s | %s | %s | %s | %s |\n", f.name,
			f.cell(m, ours), o.besideCell(f, m), f.cell(m, theirs), ratioCell(m, beside), ratioCell(m, theirs), f.goalTexts(), f.verdict(m))
	}
}

// note says what is behind a row's figures.
func (o outcome) note() string {
	parts := []string{o.row.name, count(len(o.pairs), "pair"), "took " + o.took.Round(time.Second).String()}
	if o.warm > 0 {
		parts = append(parts, "Kafka after "+o.warm.Round(time.Second).String()+" of this load")
	}
	if o.err != nil {
		text, _, _ := strings.Cut(strings.TrimSpace(o.err.Error()), "\n")
		parts = append(parts, "FAILED: "+strings.ReplaceAll(text, "|", "/"))
	}
	return strings.Join(parts, "; ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (o outcome) besideCell(f figure, m measured) string {
	cell := f.cell(m, beside)
	if cell != "" && o.row.reference != "" {
		cell += ", " + o.row.reference
	}
	return cell
}

// cell is the median and, of more than one round, the quartiles.
func (f figure) cell(m measured, column int) string {
	return quartilesCell(m.value[column], m.count[column], f.format)
}

func ratioCell(m measured, column int) string {
	return quartilesCell(m.ratio[column], m.pairs[column], unit("%.2f"))
}

func quartilesCell(q bench.Quartiles, n int, format func(float64) string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return format(q.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", format(q.Median), format(q.Q1), format(q.Q3))
}

func (f figure) goalTexts() string {
	texts := make([]string, len(f.goals))
	for i, g := range f.goals {
		texts[i] = g.text
	}
	return strings.Join(texts, "; ")
}

// verdict has a word for each goal if they differ, and one for all if not.
func (f figure) verdict(m measured) string {
	words := make([]string, len(f.goals))
	for i, g := range f.goals {
		switch met, known := g.met(m); {
		case !known:
			words[i] = "not measured"
		case met:
			words[i] = "yes"
		default:
			words[i] = "**no**"
		}
	}
	if distinct := slices.Compact(slices.Clone(words)); len(distinct) == 1 {
		return distinct[0]
	}
	return strings.Join(words, "; ")
}
