package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// corpus is the real input: the description of every package of the distribution, one JSON line each, numbered.
type corpus struct {
	path  string   // a file of the lines
	lines [][]byte // without line feeds; lines[n] starts with {"n":n,
	names []string // each line's package
}

const linePrefix = `{"n":`

var (
	loadCorpus = sync.OnceValues(makeCorpus)
	corpusDir  string
)

// realInput is the corpus; on a machine without apt's lists it is left out.
func realInput(t testing.TB) *corpus {
	t.Helper()
	c, err := loadCorpus()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.lines) < 1000 {
		leaveOut(t, "apt-cache dumpavail knows %d packages: not enough input (make setup, as root)", len(c.lines))
	}
	return c
}

func makeCorpus() (*corpus, error) {
	dump, err := exec.Command("apt-cache", "dumpavail").Output()
	if err != nil || len(dump) == 0 {
		if dump, err = os.ReadFile("/var/lib/dpkg/available"); err != nil {
			return &corpus{}, nil
		}
	}
	c := &corpus{}
	for stanza := range strings.SplitSeq(string(dump), "\n\n") {
		if strings.TrimSpace(stanza) != "" {
			c.add(stanza)
		}
	}
	if corpusDir, err = os.MkdirTemp("", "streambus-corpus"); err != nil {
		return nil, err
	}
	c.path = filepath.Join(corpusDir, "packages.json")
	return c, os.WriteFile(c.path, append(bytes.Join(c.lines, []byte("\n")), '\n'), 0o644)
}

func removeCorpus() {
	if corpusDir != "" {
		os.RemoveAll(corpusDir)
	}
}

// add makes a line of a stanza of "Field: value" with continuation lines.
func (c *corpus) add(stanza string) {
	line := []byte(linePrefix + strconv.Itoa(len(c.lines)))
	fields := strings.Split(strings.ReplaceAll(strings.Trim(stanza, "\n"), "\n ", "\r"), "\n")
	name := ""
	for _, field := range fields {
		key, value, _ := strings.Cut(field, ": ")
		value = strings.ReplaceAll(value, "\r", "\n ")
		if key == "Package" {
			name = value
		}
		k, _ := json.Marshal(strings.TrimSuffix(key, ":"))
		v, _ := json.Marshal(value)
		line = append(append(append(append(line, ','), k...), ':'), v...)
	}
	c.lines = append(c.lines, append(line, '}'))
	c.names = append(c.names, name)
}

// number is the n of a line that came back.
func number(line []byte) (int, error) {
	rest, ok := bytes.CutPrefix(line, []byte(linePrefix))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, fmt.Errorf("not a line that was sent: %.80q", line)
	}
	return strconv.Atoi(string(rest[:end]))
}

// checker takes what a reader got, in its order, and holds it against what was sent: the same bytes, rising numbers within
// each partition, every line once.
type checker struct {
	corpus *corpus
	mu     sync.Mutex
	last   []int    // per partition: the last n seen
	digest []uint64 // per partition: of all n in order
	count  []int    // per partition
	seen   []bool   // per n
	faults []string
}

func newChecker(c *corpus, partitions int) *checker {
	k := &checker{
		corpus: c, last: make([]int, partitions), digest: make([]uint64, partitions), count: make([]int, partitions),
		seen: make([]bool, len(c.lines)),
	}
	for i := range k.last {
		k.last[i] = -1
	}
	return k
}

func (k *checker) add(partition int, line []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := number(line)
	switch {
	case err != nil:
		k.fault("partition %d: %v", partition, err)
		return
	case n >= len(k.corpus.lines):
		k.fault("partition %d: line %d was never sent", partition, n)
		return
	case !bytes.Equal(line, k.corpus.lines[n]):
		k.fault("partition %d: line %d has other bytes: %.80q", partition, n, line)
	case n <= k.last[partition]:
		k.fault("partition %d: line %d after line %d", partition, n, k.last[partition])
	}
	if k.seen[n] {
		k.fault("partition %d: line %d a second time", partition, n)
	}
	k.seen[n] = true
	k.last[partition] = n
	k.count[partition]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d", k.digest[partition], n)
	k.digest[partition] = h.Sum64()
}

func (k *checker) fault(format string, args ...any) {
	if len(k.faults) < 10 {
		k.faults = append(k.faults, fmt.Sprintf(format, args...))
	}
}

// done reports what is wrong.
func (k *checker) done(t testing.TB, reader string) {
	t.Helper()
	missing := 0
	for _, seen := range k.seen {
		if !seen {
			missing++
		}
	}
	if missing > 0 {
		k.fault("%d of %d lines are missing", missing, len(k.seen))
	}
	for _, f := range k.faults {
		t.Errorf("read by %s: %s", reader, f)
	}
}
