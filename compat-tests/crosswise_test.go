package compat

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// TestRealInputGoesFromEveryClientToEveryOther has each client write real input with each compression it has, one
// partition for each, and each client read what each has written: the same lines in the same order.
func TestRealInputGoesFromEveryClientToEveryOther(t *testing.T) {
	cross(t, startBroker(t, scenarioFlags...), len(allClients(t)), "cross-wise")
}

// TestRealInputGoesThroughThreeNodes has each client read on a cluster what some others have written, if full what all have.
func TestRealInputGoesThroughThreeNodes(t *testing.T) {
	writers := 4
	if full {
		writers = len(allClients(t))
	}
	cross(t, startThree(t, scenarioFlags...), writers, threeNodes)
}

// cross has each client write, and read what as many others have written, itself the last of them.
func cross(t *testing.T, sys system, writers int, step string) {
	x := newCrossing(t, realInput(t), sys, step)
	t.Run("write", func(t *testing.T) {
		for _, c := range allClients(t) {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				x.write(t, c)
			})
		}
	})
	t.Run("read", func(t *testing.T) {
		all := allClients(t)
		for i, c := range all {
			var of []string
			for n := range writers {
				of = append(of, all[(i+n+1)%len(all)].Name)
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				x.readAll(t, c, of)
			})
		}
	})
	x.quit()
	results.keep(t)
}

// crossing is the state of the test: drivers stay open from writing to reading.
type crossing struct {
	t      *testing.T // the whole test, which the drivers end with
	sys    system
	step   string     // of the table
	slices [][][]byte // of the corpus, for each codec
	paths  []string   // and their files

	mu      sync.Mutex
	drivers map[string]*driver
	ends    map[string][]int64 // of what each has written; 0 for a codec that it lacks
}

// newCrossing takes some hundred other lines of the corpus for each codec, if full all of it for each.
func newCrossing(t *testing.T, c *corpus, sys system, step string) *crossing {
	x := &crossing{t: t, sys: sys, step: step, drivers: map[string]*driver{}, ends: map[string][]int64{}}
	const size = 300
	for p := range codecs {
		lines := c.lines[p*size : (p+1)*size]
		if full {
			lines = c.lines
		}
		path := filepath.Join(t.TempDir(), "lines")
		if err := os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		x.slices, x.paths = append(x.slices, lines), append(x.paths, path)
	}
	return x
}

func crossTopic(writer string) string { return "cross-" + writer }

func (x *crossing) write(t *testing.T, c client) {
	d := startDriverFor(t, x.t, x.sys, c)
	run := results.of(c)
	run.is(d)
	defer func() { x.note(t, run) }()
	createTopic(t, x.sys, crossTopic(c.Name), len(codecs))
	ends := make([]int64, len(codecs))
	for p, codec := range codecs {
		if c.lacks("produce:" + codec) {
			continue
		}
		var got struct{ Count int }
		d.must("produce_file", fields{"topic": crossTopic(c.Name), "codec": codec, "path": x.paths[p], "partition": p}, &got)
		if got.Count != len(x.slices[p]) {
			t.Errorf("%s: %d lines written, want %d", codec, got.Count, len(x.slices[p]))
		}
		ends[p] = int64(len(x.slices[p]))
	}
	if has := endOffsets(t, x.sys, crossTopic(c.Name), len(codecs)); fmt.Sprint(has) != fmt.Sprint(ends) {
		t.Fatalf("the partitions end at %v, want %v", has, ends)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drivers[c.Name], x.ends[c.Name] = d, ends
}

func (x *crossing) note(t *testing.T, run *clientRun) {
	if t.Failed() {
		run.note(x.step, fails)
	} else {
		run.note(x.step, works)
	}
}

func (x *crossing) readAll(t *testing.T, c client, of []string) {
	x.mu.Lock()
	d := x.drivers[c.Name]
	x.mu.Unlock()
	if d == nil {
		t.Skip("it has not written either")
	}
	d.t = t
	defer func() {
		d.t = x.t
		x.note(t, results.of(c))
	}()
	for _, writer := range of {
		t.Run("of-"+writer, func(t *testing.T) {
			ends := slices.Clone(x.ends[writer])
			if ends == nil {
				t.Skip("it has not written")
			}
			for p, codec := range codecs {
				if c.lacks("produce:" + codec) { // nor can it read that
					ends[p] = 0
				}
			}
			d.t = t
			if !full {
				x.read(t, d, writer, ends)
				return
			}
			for p, end := range ends { // as much as a slow client reads within the time that an answer may take
				one := make([]int64, len(ends))
				one[p] = end
				x.read(t, d, writer, one)
			}
		})
	}
}

// read has a client read what another has written, up to the ends of the partitions.
func (x *crossing) read(t *testing.T, d *driver, writer string, ends []int64) {
	path := filepath.Join(t.TempDir(), "read")
	var got struct{ Count int64 }
	d.must("consume_file", fields{"topic": crossTopic(writer), "ends": ends, "path": path}, &got)
	x.check(t, path, ends)
}

// check holds a file of "partition TAB value" lines against what was written.
func (x *crossing) check(t *testing.T, path string, ends []int64) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	next := make([]int64, len(ends))
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 16<<20)
	for lines.Scan() {
		partition, value, _ := bytes.Cut(lines.Bytes(), []byte("\t"))
		p, err := strconv.Atoi(string(partition))
		if err != nil || p < 0 || p >= len(ends) || next[p] >= ends[p] {
			t.Fatalf("not a line that was sent: %.80q", lines.Bytes())
		}
		if want := x.slices[p][next[p]]; !bytes.Equal(value, want) {
			t.Fatalf("%s: line %d is %.80q, want %.80q", codecs[p], next[p], value, want)
		}
		next[p]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(next) != fmt.Sprint(ends) {
		t.Errorf("read %v lines, want %v", next, ends)
	}
}

func (x *crossing) quit() {
	var ending sync.WaitGroup
	for _, d := range x.drivers {
		ending.Go(d.quit)
	}
	ending.Wait()
}
