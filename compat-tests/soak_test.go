package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// One node with three data directories under producers, consumers, groups, changes of configuration, moves, deletions, retention and
// both kinds of compaction, killed and started again all the time, at times without its index. Files are small, so that they are
// sealed, compacted and unlinked many times a minute. SEED gives the same operations and kills (not at the same moments);
// DURATION is how long it goes on.

const (
	soakSeed   = 7 // of the run in `make test`; make soak has another each time
	soakTime   = 20 * time.Second
	soakWhole  = time.Minute
	soakRetry  = 20 * time.Millisecond
	soakWithin = 60 * time.Second // bounds what a client waits for
	// soakFirstAck bounds a start with an index; it is far less on a machine that does nothing else.
	soakFirstAck = 10 * time.Second
)

// Bounds of what one node takes, whatever the length of the run.
const (
	soakMemory    = 400 << 20 // of anonymous memory
	soakOpenFiles = 600
	soakFiles     = 900 // in the data directories
	soakDisk      = 1536 << 20
)

// soak is one run.
type soak struct {
	t     *testing.T
	seed  uint64
	b     *broker
	dirs  []string
	admin *kadm.Client
	ctx   context.Context // of the clients: ends with the run
	found findings
	lives int // topics so far
	notes timeline

	mu     sync.Mutex
	counts map[string]int
	most   map[string]int64
	topics []*soakTopic
}

func TestSoak(t *testing.T) {
	notKafka(t)
	needLinux(t)
	t.Parallel() // with others that bear a busy machine
	s := startSoak(t)
	length := runTime(t, soakTime)
	s.run(length)
	s.finish(length >= soakWhole)
}

func startSoak(t *testing.T) *soak {
	s := &soak{t: t, seed: runSeed(t, soakSeed), counts: map[string]int{}, most: map[string]int64{}}
	s.b = newBroker(t)
	s.dirs = []string{s.b.dir, s.b.dir + "-2", s.b.dir + "-3"}
	ctx, cancel := context.WithCancel(t.Context())
	s.ctx = ctx
	t.Cleanup(func() {
		cancel()
		for _, topic := range s.topics {
			topic.end()
		}
		if t.Failed() {
			t.Logf("what was done\n%s", s.notes.since(time.Time{}))
		}
	})
	s.flags(rand.New(rand.NewPCG(s.seed, 0)))
	s.b.start()
	s.admin = kadm.NewClient(s.client(kgo.AlwaysRetryEOF()))
	for _, spec := range soakSpecs {
		s.topics = append(s.topics, s.startTopic(spec))
	}
	return s
}

// flags are those of the next start: what a user may change from one to the next.
func (s *soak) flags(rng *rand.Rand) {
	policies := []string{"always", "always", "interval", "never"}
	s.b.flags = []string{"--data-dir", strings.Join(s.dirs, ",")}
	for _, setting := range []string{
		"log.flush.policy=" + policies[rng.IntN(len(policies))],
		fmt.Sprintf("log.wal.file.bytes=%d", (1+rng.IntN(3)*rng.IntN(2))<<20),
		"log.retention.check.interval.ms=500", "log.cleaner.backoff.ms=500", "log.cleaner.min.cleanable.ratio=0.05",
		"log.scrub.interval.ms=2000", "log.scrub.bytes.per.second=16777216", "offsets.topic.num.partitions=5",
		"offsets.topic.segment.bytes=1048576",
	} {
		s.b.flags = append(s.b.flags, "--set", setting)
	}
}

// client is a franz-go client that works on soon after the broker is back.
func (s *soak) client(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.SeedBrokers(s.b.addr)}, backSoon, opts)...)
	if err != nil {
		panic(err) // the options are wrong
	}
	s.t.Cleanup(client.Close)
	return client
}

// must tries something until it works. It is false when the run is over.
func (s *soak) must(what string, try func() error) bool {
	for began := time.Now(); s.ctx.Err() == nil; time.Sleep(soakRetry) {
		err := try()
		if err == nil {
			return true
		}
		if time.Since(began) > soakWithin {
			s.found.add("%s: %v", what, err)
			return false
		}
	}
	return false
}

func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// atMost keeps the largest of a figure.
func (s *soak) atMost(what string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most[what] = max(s.most[what], n)
}

// run works, and kills and starts the broker, for a while.
func (s *soak) run(length time.Duration) {
	rng := rand.New(rand.NewPCG(s.seed, 1))
	least, most := 10*time.Second, 20*time.Second
	if length < 2*time.Minute {
		least, most = 2*time.Second, 5*time.Second
	}
	var over atomic.Bool
	var working sync.WaitGroup
	working.Go(func() { s.operate(&over) })
	working.Go(func() { s.lookAround(&over) })
	for end := time.Now().Add(length); time.Now().Before(end) && s.found.none() && !s.t.Failed(); {
		time.Sleep(least + time.Duration(rng.Int64N(int64(most-least))))
		s.sample()
		s.down(rng)
		s.verify()
		lost := s.loseIndex(rng)
		s.flags(rng)
		s.up(lost)
		topics := s.now()
		if !s.found.none() {
			break
		}
		for _, topic := range topics {
			topic.checkCommits()
		}
		topics[rng.IntN(len(topics))].check()
	}
	over.Store(true)
	working.Wait()
}

// now are the topics that are there now.
func (s *soak) now() []*soakTopic {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.topics)
}

// down ends the process in one of the ways in which it may end.
func (s *soak) down(rng *rand.Rand) {
	how := "kill -9"
	switch rng.IntN(6) {
	case 0:
		how = "SIGTERM"
		s.b.stop()
	case 1:
		how = "SIGTERM and kill -9"
		if err := syscall.Kill(s.b.pid(), syscall.SIGTERM); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		s.b.cmd.Process.Kill() // if it is not gone already
		<-s.b.exited
	default:
		s.b.kill9()
	}
	s.notes.note("--- %s", how)
	s.count(how)
}

// verify checks the directories of the broker, which is down.
func (s *soak) verify() {
	for _, dir := range s.dirs {
		out, err := exec.Command(s.b.program, "verify", dir, "-o", "json").CombinedOutput()
		var told struct {
			Problems, Quarantined []string
			Bytes                 int64
		}
		if jsonErr := json.Unmarshal(out, &told); err != nil || jsonErr != nil || len(told.Problems) > 0 {
			s.found.add("streambus verify %s: %v\n%s", dir, errors.Join(err, jsonErr), lastBytes(out, 2000))
		}
		s.atMost("logs in quarantine", int64(len(told.Quarantined)))
	}
	s.count("verify")
}

// loseIndex removes the index of some directories now and then.
func (s *soak) loseIndex(rng *rand.Rand) (lost bool) {
	if rng.IntN(4) > 0 {
		return false
	}
	for _, dir := range s.dirs {
		if rng.IntN(2) == 0 {
			s.notes.note("without the index of %s", filepath.Base(dir))
			s.count("index removed")
			lost = true
			if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return lost
}

// up starts the broker, and notes how long it took until something was acknowledged.
func (s *soak) up(lost bool) {
	took := firstAcknowledgement(s.t, s.b)
	s.notes.note("first acknowledgement after %v, %v", took.Round(time.Millisecond), s.b.flags[3:6:6])
	what := "ms to the first acknowledgement"
	if lost {
		what += ", with an index made anew"
	}
	s.atMost(what, took.Milliseconds())
	if !lost && took > soakFirstAck {
		s.found.add("the first acknowledgement came %v after a start", took)
	}
	s.b.waitReady(readyWithin)
	s.readLog()
}

// readLog looks for what the broker must never have logged.
func (s *soak) readLog() {
	for _, text := range []string{"level=ERROR", "panic:", "fatal error:"} {
		for line := range strings.Lines(s.b.logText()) {
			if strings.Contains(line, text) {
				s.found.add("the broker logged: %s", strings.TrimSpace(line))
				break
			}
		}
	}
}

// sample looks at what the process takes, and what it has done since its start.
func (s *soak) sample() {
	s.t.Helper()
	anonymous, open := memory(s.t, s.b.pid(), "RssAnon"), openFiles(s.t, s.b.pid())
	files, bytes := 0, int64(0)
	for _, dir := range s.dirs {
		bytes += apparentSize(s.t, dir)
		for _, kind := range []string{"wal", "index"} {
			entries, err := os.ReadDir(filepath.Join(dir, kind))
			if err != nil {
				s.t.Fatal(err)
			}
			files += len(entries)
		}
	}
	for _, of := range []struct {
		what    string
		n, most int64
	}{
		{"MB of anonymous memory", anonymous >> 20, soakMemory >> 20},
		{"open files", int64(open), soakOpenFiles},
		{"files in the directories", int64(files), soakFiles},
		{"MB in the directories", bytes >> 20, soakDisk >> 20},
	} {
		s.atMost(of.what, of.n)
		if of.n > of.most {
			s.found.add("%d %s, want at most %d", of.n, of.what, of.most)
		}
	}
	for what, name := range soakWork {
		s.mu.Lock()
		s.counts[what] += int(metric(s.t, s.b, name))
		s.mu.Unlock()
	}
}

// soakWork is what the engines must have done in a run that is worth it.
var soakWork = map[string]string{
	"files sealed":                     "streambus_log_sealed_files_total",
	"files unlinked":                   "streambus_log_unlinked_files_total",
	"bytes copied to sorted files":     "streambus_log_compacted_bytes_total",
	"bytes compacted away by key":      "streambus_log_cleaned_away_bytes_total",
	"bytes read again by the scrubber": "streambus_log_scrubbed_bytes_total",
}

// finish (of a run that is long enough to want everything to have happened: whole) lets the load end and reads everything, then once more after a last kill.
func (s *soak) finish(whole bool) {
	s.t.Helper()
	defer s.report()
	if !s.found.none() {
		return // what is wrong may keep the load from ending
	}
	for _, topic := range s.now() {
		topic.quiet()
	}
	s.sample()
	s.readEverything()
	s.b.kill9()
	s.count("kill -9")
	s.verify()
	s.up(false)
	s.readEverything()
	s.b.stop()
	s.verify()
	s.readLog()
	for what := range soakWork {
		if whole && s.counts[what] == 0 {
			s.found.add("a run without %s shows little", what)
		}
	}
}

// report prints what was done and what was found.
func (s *soak) report() {
	s.t.Helper()
	for _, of := range []map[string]any{figures(s.counts), figures(s.most)} {
		for _, what := range slices.Sorted(maps.Keys(of)) {
			s.t.Logf("%12v %s", of[what], what)
		}
	}
	if !s.found.none() {
		s.t.Errorf("SEED=%d: %v", s.seed, &s.found)
	}
}

func figures[N int | int64](of map[string]N) map[string]any {
	out := map[string]any{}
	for what, n := range of {
		out[what] = n
	}
	return out
}

func (s *soak) readEverything() {
	for _, topic := range s.now() {
		topic.check()
		topic.checkCommits()
	}
}
