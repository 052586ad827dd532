package compat

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ack is one record of a load that was acknowledged.
type ack struct {
	n         int
	partition int32
	offset    int64 // or somewhere
	at        time.Time
}

// somewhere is the offset of a record that was acknowledged without one: librdkafka takes a batch of which the broker says that
// it has it, and knows no more, for delivered.
const somewhere = -2

// load is a stock producer that sends numbered records (drivers/README.md, op load) and what it has written down so far.
type load struct {
	t      testing.TB
	name   string
	driver *driver
	path   string
	read   int64 // bytes of the file that were read
	acks   []ack // in order of the file
	failed []string
}

// loadClients are the libraries that can do it.
var loadClientNames = []string{"franz-go", "kafka-clients-4.3.1", "confluent-kafka"}

// startLoad has a client send rate records a second to the partitions of a topic. A timeout of 0 is the library's own.
func startLoad(t testing.TB, c *cluster, client, name, topic string, partitions, rate int, timeout time.Duration) *load {
	t.Helper()
	l := &load{t: t, name: name, path: fmt.Sprintf("%s/%s.acks", t.TempDir(), name)}
	l.driver = startDriver(t, &broker{addr: c.bootstrap()}, clientNamed(t, client))
	req := fields{"name": name, "topic": topic, "partitions": partitions, "rate": rate, "path": l.path}
	if timeout > 0 {
		req["request_timeout_ms"] = timeout.Milliseconds()
	}
	l.driver.must("load", req, nil)
	return l
}

// catchUp reads what has been written down since the last time.
func (l *load) catchUp() {
	l.t.Helper()
	file, err := os.Open(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		l.t.Fatal(err)
	}
	text := make([]byte, info.Size()-l.read)
	if _, err := file.ReadAt(text, l.read); err != nil {
		l.t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	l.read += int64(len(text))
	for line := range strings.Lines(string(text)) {
		l.add(strings.TrimSuffix(line, "\n"))
	}
}

func (l *load) add(line string) {
	words := strings.SplitN(line, " ", 5)
	var numbers [4]int64
	for i := range numbers {
		var err error
		if i >= len(words) {
			l.t.Fatalf("%s wrote %q", l.name, line)
		}
		if numbers[i], err = strconv.ParseInt(words[i], 10, 64); err != nil {
			l.t.Fatalf("%s wrote %q", l.name, line)
		}
	}
	if numbers[2] < 0 && numbers[2] != somewhere {
		l.failed = append(l.failed, line)
		return
	}
	l.acks = append(l.acks, ack{int(numbers[0]), int32(numbers[1]), numbers[2], time.UnixMicro(numbers[3])})
}

// acked is how many were acknowledged so far.
func (l *load) acked() int {
	l.catchUp()
	return len(l.acks)
}

// stop ends it when all that was sent is acknowledged.
func (l *load) stop() {
	l.t.Helper()
	var told struct{ Sent int }
	l.driver.must("load_stop", nil, &told)
	l.catchUp()
	if told.Sent != len(l.acks)+len(l.failed) {
		l.t.Errorf("%s: %d sent, %d acknowledged, %d failed", l.name, told.Sent, len(l.acks), len(l.failed))
	}
}

// longest is the longest time without an acknowledgement between two moments; what was acknowledged last before the first
// begins it. A partition below 0 stands for any.
func (l *load) longest(from, to time.Time, partition int32) time.Duration {
	last, longest := from, time.Duration(0)
	for _, a := range slices.Backward(l.acks) {
		if a.at.Before(from) && (partition < 0 || a.partition == partition) {
			last = a.at
			break
		}
	}
	for _, a := range l.acks {
		if a.at.After(last) && !a.at.After(to) && (partition < 0 || a.partition == partition) {
			longest, last = max(longest, a.at.Sub(last)), a.at
		}
	}
	return max(longest, to.Sub(last))
}

// longestOfOne is the longest time that one of the partitions was without an acknowledgement.
func (l *load) longestOfOne(from, to time.Time, partitions int) time.Duration {
	longest := time.Duration(0)
	for p := range partitions {
		longest = max(longest, l.longest(from, to, int32(p)))
	}
	return longest
}

// stored is a record as it was read back.
type stored struct {
	offset int64
	name   string // of its producer
	n      int
}

// readBack reads a topic between the given offsets.
func readBack(t testing.TB, c *cluster, topic string, starts, ends []int64) [][]stored {
	t.Helper()
	logs := make([][]stored, len(ends))
	for r := range recordsFrom(t, &broker{addr: c.bootstrap()}, topic, starts, ends) {
		name, rest, _ := strings.Cut(string(r.Value), " ")
		digits, _, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(digits)
		if err != nil {
			t.Errorf("%s-%d offset %d holds %.60q", topic, r.Partition, r.Offset, r.Value)
			continue
		}
		logs[r.Partition] = append(logs[r.Partition], stored{r.Offset, name, n})
	}
	return logs
}

// findings are what is wrong with a history, the first of them in words. add and none may be called by several at once.
type findings struct {
	mu    sync.Mutex
	count int
	words []string
}

func (f *findings) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count == 0
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; len(f.words) < 20 {
		f.words = append(f.words, fmt.Sprintf(format, args...))
	}
}

func (f *findings) String() string {
	return fmt.Sprintf("%d findings, of which the first are\n%s", f.count, strings.Join(f.words, "\n"))
}

// checkLoads holds what was read back from the given offsets on against what the loads were told: everything acknowledged is
// at its offset, nothing is there twice, and the numbers of each producer rise in each partition.
func checkLoads(starts []int64, logs [][]stored, loads []*load, f *findings) {
	at := map[string]map[int]stored{}
	where := map[string]map[int]int{}
	for _, l := range loads {
		at[l.name], where[l.name] = map[int]stored{}, map[int]int{}
	}
	for p, log := range logs {
		last := map[string]int{}
		for i, r := range log {
			if i > 0 && r.offset != log[i-1].offset+1 {
				f.add("partition %d: offset %d follows %d", p, r.offset, log[i-1].offset)
			}
			if before, ok := at[r.name][r.n]; ok {
				f.add("doubled: %s %d is at %d-%d and at %d-%d", r.name, r.n, where[r.name][r.n], before.offset, p, r.offset)
				continue
			}
			if before, ok := last[r.name]; ok && r.n <= before {
				f.add("reordered: %s %d is at %d-%d, after %d", r.name, r.n, p, r.offset, before)
			}
			if at[r.name] == nil {
				f.add("%d-%d is of %q, whom nobody knows", p, r.offset, r.name)
				continue
			}
			last[r.name], at[r.name][r.n], where[r.name][r.n] = r.n, r, p
		}
	}
	for _, l := range loads {
		for _, a := range l.acks {
			r, ok := at[l.name][a.n]
			switch {
			case a.offset == somewhere && (ok || starts[a.partition] > 0):
			case a.offset != somewhere && a.offset < starts[a.partition]:
			case !ok:
				f.add("lost: %s %d was acknowledged at %d-%d (%s)", l.name, a.n, a.partition, a.offset, a.at.Format("15:04:05.000"))
			case r.offset != a.offset || where[l.name][a.n] != int(a.partition):
				f.add("moved: %s %d was acknowledged at %d-%d and is at %d-%d", l.name, a.n, a.partition, a.offset, where[l.name][a.n], r.offset)
			}
		}
	}
}

// checkTopic reads a topic from the given offsets on, holds it against its loads, and says how far it has come.
func checkTopic(t testing.TB, c *cluster, topic string, starts []int64, loads []*load) (ends []int64) {
	t.Helper()
	var f findings
	for _, l := range loads {
		l.catchUp()
		for _, line := range l.failed {
			f.add("%s was told of a failure: %s", l.name, line)
		}
	}
	ends = endOffsetsOf(t, c, topic, len(starts))
	checkLoads(starts, readBack(t, c, topic, starts, ends), loads, &f)
	if f.count > 0 {
		t.Errorf("%s: %v", topic, &f)
	}
	return ends
}

// endOffsetsOf are the high watermarks of a topic of a cluster.
func endOffsetsOf(t testing.TB, c *cluster, topic string, partitions int) []int64 {
	t.Helper()
	listed, err := c.admin.ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("end offsets of %s: %v", topic, err)
	}
	ends := make([]int64, partitions)
	for p := range ends {
		if o, ok := listed.Lookup(topic, int32(p)); ok {
			ends[p] = o.Offset
		}
	}
	return ends
}
