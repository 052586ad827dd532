package compat

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Three nodes, three producers and a group of three consumers, and something that goes wrong all the time: processes die or
// stand still, links break, disks fill up, bits flip, clocks step. What the clients were told is kept as a history and held
// against what is there in the end, as Jepsen's workload for Kafka does. SEED gives the same faults in the same order;
// DURATION (as in 1h) is how long it goes on.

const (
	chaosSeed    = 1795731335789055877 // of the run in `make test`: faults of most kinds; make chaos has another each time
	chaosTopic   = "chaos"
	chaosRate    = 80 // records a second of each producer
	chaosTime    = 75 * time.Second
	chaosTimeout = 5 * time.Second // the producers' request timeout
	// chaosRecovers bounds the time in which every producer is heard of again when a fault is over.
	chaosRecovers = 60 * time.Second
)

// chaos is one run.
type chaos struct {
	t      *testing.T
	seed   uint64
	rand   *rand.Rand
	dir    string // stays after a run that failed
	c      *cluster
	net    *network // nil without root
	seen   *timeline
	loads  []*load
	group  *chaosGroup
	counts map[string]int // faults by name
	found  findings
}

func TestChaos(t *testing.T) {
	notKafka(t)
	t.Parallel() // with others that bear a busy machine
	r := startChaos(t)
	r.run()
	r.finish()
}

func startChaos(t *testing.T) *chaos {
	seed := runSeed(t, chaosSeed)
	r := &chaos{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}}
	dir, err := os.MkdirTemp("", "streambus-chaos")
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	t.Cleanup(r.tidy)
	if why := noNamespaces(); why == "" || inCI {
		r.net = newNetwork(t)
	} else {
		t.Logf("left out are cut links and full disks: %s", why)
	}
	r.startNodes()
	r.c.createTopic(chaosTopic, spread...)
	r.seen = r.c.watch(chaosTopic)
	for _, client := range loadClientNames {
		r.loads = append(r.loads, startLoad(t, r.c, client, client, chaosTopic, len(spread), chaosRate, chaosTimeout))
	}
	r.group = startChaosGroup(r)
	return r
}

// startNodes starts the cluster with a program whose clock can be stepped, on disks that can be filled.
func (r *chaos) startNodes() {
	program := filepath.Join(r.dir, "streambus")
	if err := buildProgram(program, "-tags", "clockstep"); err != nil {
		r.t.Fatal(err)
	}
	home := func(i int) string { return filepath.Join(r.dir, fmt.Sprintf("node%d", i+1)) }
	for i := range clusterNodes {
		if err := os.MkdirAll(home(i), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if r.net != nil {
			if err := mountTmpfs(home(i), "size=2g"); err != nil {
				r.t.Fatal(err)
			}
			r.t.Cleanup(func() { unmount(home(i)) }) // the brokers, made later, end before
		}
	}
	r.c = newCluster(r.t, r.net)
	for i, b := range r.c.nodes {
		b.program, b.dir, b.logPath = program, filepath.Join(home(i), "data"), filepath.Join(r.dir, fmt.Sprintf("node%d.log", i+1))
		b.env = append(os.Environ(), "STREAMBUS_CLOCK_OFFSET_FILE="+r.clockFile(int32(i+1)))
	}
	r.c.start()
}

func (r *chaos) clockFile(id int32) string { return filepath.Join(r.dir, fmt.Sprintf("clock%d", id)) }

// runSeed is SEED, else a fixed one for `make test` and another each time for a run of some DURATION.
func runSeed(t testing.TB, fixed uint64) uint64 {
	t.Helper()
	seed := fixed
	if os.Getenv("DURATION") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	return seed
}

// runTime is DURATION, or what suits `make test`.
func runTime(t testing.TB, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("DURATION")
	if text == "" {
		return short
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return length
}

// run lets one thing after the other go wrong.
func (r *chaos) run() {
	length := runTime(r.t, chaosTime)
	r.recovered("the start")
	faults := r.chosen()
	for end := time.Now().Add(length); time.Now().Before(end) && !r.t.Failed(); {
		f := faults[r.rand.IntN(len(faults))]
		r.counts[f.name]++
		r.seen.note("--- %s", f.name)
		f.do()
		r.seen.note("--- over: %s", f.name)
		r.recovered(f.name)
		time.Sleep(r.between(500, 2500))
	}
}

// chosen are the faults whose names have one of the words of CHAOS_FAULTS, or all.
func (r *chaos) chosen() []fault {
	all := r.faults()
	words := os.Getenv("CHAOS_FAULTS")
	if words == "" {
		return all
	}
	chosen := slices.DeleteFunc(all, func(f fault) bool {
		return !slices.ContainsFunc(strings.Split(words, ","), func(word string) bool { return strings.Contains(f.name, word) })
	})
	if len(chosen) == 0 {
		r.t.Fatalf("no fault has a name with %s", words)
	}
	return chosen
}

// between is a random time in milliseconds.
func (r *chaos) between(least, most int) time.Duration {
	return time.Duration(least+r.rand.IntN(most-least)) * time.Millisecond
}

// recovered waits until every producer has been told of something that it sent after this moment.
func (r *chaos) recovered(from string) {
	r.t.Helper()
	began := time.Now()
	for _, l := range r.loads {
		goal := l.acked() + chaosRate
		for l.acked() < goal {
			if time.Since(began) > chaosRecovers {
				r.t.Errorf("%s gets no acknowledgements %v after %s", l.name, chaosRecovers, from)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// finish heals everything, reads all that is there and judges.
func (r *chaos) finish() {
	r.t.Helper()
	r.heal()
	r.c.healthy(chaosTopic)
	for _, l := range r.loads {
		l.stop()
	}
	ends := endOffsetsOf(r.t, r.c, chaosTopic, len(spread))
	r.group.finish(ends)
	whole := make([]int64, len(ends))
	logs := readBack(r.t, r.c, chaosTopic, whole, ends)
	checkLoads(whole, logs, r.loads, &r.found)
	r.group.check(logs, &r.found)
	r.c.healthy(chaosTopic)
	r.compareReplicas()
	acked, failed := 0, 0
	for _, l := range r.loads {
		acked, failed = acked+len(l.acks), failed+len(l.failed)
	}
	r.t.Logf("%d records acknowledged, %d of unknown fate; %s; faults %v", acked, failed, r.group, r.counts)
	if r.found.count > 0 {
		r.t.Errorf("%v", &r.found)
	}
}

// heal brings everything back that faults may have left behind: they do it by themselves, if nothing has failed.
func (r *chaos) heal() {
	if r.net != nil {
		r.net.heal()
	}
	for _, b := range r.c.nodes {
		select {
		case <-b.exited:
			b.start()
		default:
		}
	}
}

// compareReplicas stops all nodes and compares what they have of the topic, byte by byte. Coordinators may write to theirs
// until the last moment, so those are no two the same.
func (r *chaos) compareReplicas() {
	r.t.Helper()
	topics, err := r.c.admin.ListTopics(r.t.Context(), chaosTopic)
	if err != nil {
		r.t.Fatal(err)
	}
	id := topics[chaosTopic].ID
	prefix := base64.RawURLEncoding.EncodeToString(id[:]) + "-"
	for _, b := range r.c.nodes {
		b.stop()
	}
	type digest struct {
		Partition   string
		First, Last int64
		Crc32c      string
	}
	var first []digest
	for i, b := range r.c.nodes {
		out, err := exec.Command(b.program, "verify", b.dir, "--digests", "-o", "json").Output()
		if err != nil {
			r.found.add("node %d: streambus verify: %v\n%s", i+1, err, lastBytes(out, 2000))
			continue
		}
		var told struct{ Digests []digest }
		if err := json.Unmarshal(out, &told); err != nil {
			r.t.Fatalf("%v in %s", err, lastBytes(out, 500))
		}
		told.Digests = slices.DeleteFunc(told.Digests, func(d digest) bool { return !strings.HasPrefix(d.Partition, prefix) })
		slices.SortFunc(told.Digests, func(a, b digest) int { return strings.Compare(a.Partition, b.Partition) })
		if len(told.Digests) != len(spread) {
			r.found.add("node %d has digests of %d partitions", i+1, len(told.Digests))
		}
		if first == nil {
			first = told.Digests
			continue
		}
		if !slices.Equal(first, told.Digests) {
			r.found.add("replicas differ: node 1 has %v, node %d has %v", first, i+1, told.Digests)
		}
	}
}

// tidy shows what happened if the run failed, and leaves its logs there.
func (r *chaos) tidy() {
	if !r.t.Failed() {
		os.RemoveAll(r.dir)
		return
	}
	if r.seen != nil {
		r.t.Logf("what happened, and what the nodes said\n%s", r.seen.since(time.Time{}))
	}
	r.t.Logf("SEED=%d gives the same faults; the nodes' logs are in %s", r.seed, r.dir)
}
