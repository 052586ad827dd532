package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/log"
)

// policy is log.flush.policy, of the brokers or of a topic.
type policy uint8

const (
	always policy = iota
	interval
	never
)

func (p policy) String() string { return [...]string{"always", "interval", "never"}[p] }

func (p policy) flush() log.FlushPolicy {
	return [...]log.FlushPolicy{log.FlushAlways, log.FlushInterval, log.FlushNever}[p]
}

// Options choose what a run is like. The zero value leaves everything to the seed.
type Options struct {
	Seed    uint64
	Length  time.Duration // of the part with faults; 0: a minute
	Powered bool          // all nodes lose power at once, with all topics under `always`
	// Trace gets every line of the event log at once.
	Trace func(string)
}

// plan is what a seed becomes before anything happens.
type plan struct {
	seed          uint64
	length        time.Duration // with faults
	nodes         int
	policy        policy // of the brokers
	config        *config.Config
	flushInterval time.Duration
	fileBytes     int64
	snapshotGap   int
	topics        []topicPlan
	groupShards   int
	producers     int
	membersOf     []int // members of each group
	powered       bool  // all lose power at once, once
	faults        faultMix
	script        func(*Sim) // instead of chance, in tests: called when the workload begins
}

// topicRules are what a topic promises.
type topicRules struct {
	policy  policy
	minISR  int
	unclean bool
}

type topicPlan struct {
	name       string
	partitions int
	replicas   int
	rules      topicRules
	own        bool // the policy is set on the topic and not on the brokers
}

const offsetsTopic = "__consumer_offsets"

// makePlan throws the dice once for all.
func makePlan(o Options) plan {
	d := &planDice{seed: o.Seed}
	p := plan{seed: o.Seed, length: o.Length, powered: o.Powered}
	if p.length == 0 {
		p.length = time.Minute
	}
	p.nodes = 3
	if d.percent(15) {
		p.nodes = 5
	}
	if !o.Powered {
		p.powered = d.percent(10)
	}
	p.policy = []policy{always, always, always, interval, never}[d.below(5)]
	if p.powered {
		p.policy = always
	}
	p.flushInterval = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, time.Second}[d.below(3)]
	p.fileBytes = []int64{32 << 10, 64 << 10, 256 << 10}[d.below(3)]
	p.snapshotGap = 1 + d.below(20)
	p.groupShards = 1 + d.below(3)
	p.producers = 3 + d.below(3)
	for range 1 + d.below(2) {
		p.membersOf = append(p.membersOf, 1+d.below(3))
	}
	for i := range 1 + d.below(3) {
		p.topics = append(p.topics, makeTopic(d, &p, i))
	}
	p.faults = makeFaults(d, &p)
	p.config = makeConfig(d, p.policy)
	return p
}

func makeTopic(d *planDice, p *plan, i int) topicPlan {
	t := topicPlan{name: fmt.Sprintf("t%d", i), partitions: 1 + d.below(3), replicas: min(3, p.nodes), rules: topicRules{policy: p.policy, minISR: 1 + d.below(2)}}
	if d.percent(10) {
		t.replicas = 2
	}
	if d.percent(12) && !p.powered {
		t.rules.unclean = true
	}
	if d.percent(25) && !p.powered {
		t.own = true
		t.rules.policy = always
		if p.policy == always {
			t.rules.policy = interval
		}
	}
	return t
}

// configs are the topic's, as CreateTopics takes them.
func (t topicPlan) configs() map[string]*string {
	out := map[string]*string{}
	set := func(k, v string) { out[k] = &v }
	set("min.insync.replicas", fmt.Sprint(t.rules.minISR))
	set("unclean.leader.election.enable", fmt.Sprint(t.rules.unclean))
	switch {
	case t.own && t.rules.policy == always:
		set("flush.messages", "1")
	case t.own:
		set("flush.ms", "50")
	}
	return out
}

func makeConfig(d *planDice, p policy) *config.Config {
	set := []string{
		"log.flush.policy=" + p.String(),
		fmt.Sprintf("replica.lag.time.max.ms=%d", 1000+1000*d.below(4)),
		fmt.Sprintf("replica.fetch.wait.max.ms=%d", 100+100*d.below(5)),
		fmt.Sprintf("replica.fetch.backoff.ms=%d", 50+50*d.below(5)),
		fmt.Sprintf("num.replica.fetchers=%d", 1+d.below(2)),
	}
	c, _, err := config.Load(config.Sources{Set: set})
	if err != nil {
		panic(err) // the properties above are wrong
	}
	return c
}

func (p *plan) defaults() controller.Defaults {
	return controller.Defaults{NumPartitions: 1, ReplicationFactor: 3, MinInSyncReplicas: 1, SessionTimeout: sessionTime}
}

func (p *plan) groupOptions() groups.Options {
	return groups.Options{
		InitialRebalanceDelay: 200 * time.Millisecond, MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute,
		MaxSize: 100, MaxMetadataBytes: 4096, OffsetRetention: 24 * time.Hour, RetentionCheck: time.Hour,
	}
}

// text is the plan in a few lines.
func (p *plan) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, policy %s, flush interval %v, files of %d KiB, %d producers, groups of %v members, powered %v\n",
		p.nodes, p.policy, p.flushInterval, p.fileBytes>>10, p.producers, p.membersOf, p.powered)
	for _, t := range p.topics {
		fmt.Fprintf(&b, "topic %s: %d partitions, %d replicas, policy %s, min.insync.replicas %d, unclean elections %v\n",
			t.name, t.partitions, t.replicas, t.rules.policy, t.rules.minISR, t.rules.unclean)
	}
	fmt.Fprintf(&b, "faults: %s\n", p.faults)
	return b.String()
}

// planDice throws for the plan, before there is a Sim.
type planDice struct{ seed, n uint64 }

func (d *planDice) next() uint64 {
	d.n++
	return mix(mix(d.seed) + d.n)
}

func (d *planDice) below(n int) int { return int(d.next() % uint64(n)) }

func (d *planDice) percent(p int) bool { return d.below(100) < p }
