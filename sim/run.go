package sim

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Result is what a run came to.
type Result struct {
	Seed     uint64
	Findings []string // empty: all promises were kept
	Log      string   // the event log's end
	Plan     string
	Hash     uint64 // of all events: the same for two runs of a seed
	Steps    int    // events
	Faults   int
	Acked    int // acknowledged records
	Read     int // records that consumers were shown
	Length   time.Duration
	// Disturbed says that a step took so long, in real time, that Go may have taken the processor away from a goroutine in the
	// middle of it and let others go first. Another run of the seed may then differ.
	Disturbed bool
}

// slice is how long Go lets a goroutine run without a pause before it takes the processor away from it (sysmon,
// forcePreemptNS): longer than any step on a machine that does nothing else.
const slice = 10 * time.Millisecond

// Phases of a run that must come to their end, however bad the seed is.
const (
	bootTime   = 30 * time.Second
	settleTime = 90 * time.Second
	probeTime  = 2 * time.Second
)

// Run runs a seed. Nothing else may run in the process meanwhile: there is one processor, and who rests is told by the
// runtime's count of goroutines that want it.
func Run(o Options) Result { return runPlan(o, makePlan(o)) }

// runPlan runs a plan, which tests may have changed.
func runPlan(o Options, p plan) Result {
	procs := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(procs)
	s := &Sim{plan: p, counts: map[streamKey]uint64{}}
	s.trace = trace{hash: fnvOffset, most: 600, full: o.Trace}
	s.watchQuiet()
	s.check.init(s)
	s.net.init(s)
	s.nodes = []*node{nil}
	for id := 1; id <= s.plan.nodes; id++ {
		n := &node{s: s, id: int32(id), drift: 1 + float64(dice{s, streamEnv, int32(id)}.below(401)-200)/1e6}
		n.disk = newDisk(s, n)
		s.nodes = append(s.nodes, n)
	}
	s.quorum.init(s)
	s.run()
	s.bury()
	return s.result(o)
}

func (s *Sim) result(o Options) Result {
	return Result{
		Seed: o.Seed, Findings: s.check.findings, Log: s.trace.text(), Plan: s.plan.text(), Hash: s.trace.hash, Steps: s.steps,
		Faults: s.check.faults, Acked: s.check.acks, Read: s.check.read, Length: s.now(),
		Disturbed: s.slowest >= slice,
	}
}

func (s *Sim) run() {
	for _, n := range s.nodes[1:] {
		s.later(dice{s, streamPlan, n.id}.between(0, 300*time.Millisecond), "start", n.start)
	}
	if !s.runUntil(bootTime, s.allServe) {
		s.check.fail("the cluster does not come up within %v", bootTime)
		return
	}
	if !s.createTopics() {
		return
	}
	s.addProducers()
	s.addGroups()
	s.probeNowAndThen()
	began := s.now()
	if s.plan.script != nil {
		s.plan.script(s)
	} else {
		s.scheduleFaults(began+time.Second, began+s.plan.length*9/10)
	}
	s.runUntil(began+s.plan.length, nil)
	if s.check.failed() {
		return
	}
	s.calm()
	s.stopping = true
	if !s.runUntil(s.now()+settleTime, s.allWell) {
		s.notWell()
		return
	}
	s.runUntil(s.now()+time.Second, nil)
	s.check.durable(nil)
	s.check.final()
}

func (s *Sim) allServe() bool {
	for _, n := range s.nodes[1:] {
		if n.life == nil || !n.life.serving || !s.quorum.image.Active(n.id) {
			return false
		}
	}
	return true
}

// createTopics has the controller make the topics of the plan.
func (s *Sim) createTopics() bool {
	plans := append([]topicPlan{{name: offsetsTopic, partitions: s.plan.groupShards, replicas: min(3, s.plan.nodes)}}, s.plan.topics...)
	var c controller.CreateTopics
	for i, t := range plans {
		create := controller.CreateTopic{Name: t.name, NumPartitions: -1, ReplicationFactor: -1, Configs: map[string]*string{}}
		if i > 0 {
			create.Configs = t.configs()
		}
		for p := range t.partitions {
			var on []int32
			for r := range t.replicas {
				on = append(on, int32((i+p+r)%s.plan.nodes+1))
			}
			create.Assignments = append(create.Assignments, controller.Assignment{Partition: kafkaproto.PartitionID(p), Brokers: on})
		}
		c.Topics = append(c.Topics, create)
		c.IDs = append(c.IDs, kafkaproto.TopicID{15: byte(i + 1)})
	}
	done := false
	s.nodes[1].life.submit(c, func(v any, err error) {
		answers, _ := v.([]controller.CreateTopicAnswer)
		for _, a := range answers {
			err = errors.Join(err, a.Err)
		}
		if err != nil {
			s.check.fail("topics can't be created: %v", err)
		}
		done = true
	})
	if !s.runUntil(s.now()+bootTime, func() bool { return done }) {
		s.check.fail("topics are not created within %v", bootTime)
		return false
	}
	s.offsets = c.IDs[0]
	for i, t := range s.plan.topics {
		s.topics = append(s.topics, &topic{name: t.name, id: c.IDs[i+1], partitions: t.partitions, rules: t.rules})
	}
	return true
}

func (s *Sim) probeNowAndThen() {
	if s.stopping {
		return
	}
	s.later(probeTime, "probe", s.probeNowAndThen)
	s.check.probe()
	if (dice{s, streamCheck, 0}).percent(10) {
		s.check.durable(nil)
	}
}

// allWell says whether everything has recovered: all brokers serve, all replicas are in sync, all that was sent is settled.
func (s *Sim) allWell() bool { return s.allServe() && s.unwell() == "" }

// unwell names what has not recovered.
func (s *Sim) unwell() string {
	for _, p := range s.producers {
		if !p.drained() {
			return p.name + " has records that are not acknowledged"
		}
	}
	for t := range s.quorum.image.Topics() {
		for _, p := range t.Partitions {
			id := kafkaproto.TopicPartition{Topic: t.ID, Partition: p.ID}
			if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
				return fmt.Sprintf("%s has leader %d and ISR %v", s.name(id), p.Leader, p.ISR)
			}
			for _, r := range p.Replicas {
				if why := s.behind(s.node(r), id); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

// behind says what a replica lacks, empty if nothing.
func (s *Sim) behind(n *node, id kafkaproto.TopicPartition) string {
	on, err := n.life.manager.Partition(id)
	if err != nil {
		return fmt.Sprintf("%s at node %d: %v", s.name(id), n.id, err)
	}
	lead, err := s.node(s.known(id).Leader).life.manager.Partition(id)
	if err != nil {
		return fmt.Sprintf("%s at its leader: %v", s.name(id), err)
	}
	mine, want := on.Status(), lead.Status()
	if mine.HighWatermark != want.End || mine.Written != want.End {
		return fmt.Sprintf("%s at node %d is at %d with high watermark %d, the leader ends at %d", s.name(id), n.id, mine.Written, mine.HighWatermark, want.End)
	}
	return ""
}

func (s *Sim) notWell() {
	if s.check.failed() {
		return
	}
	why := s.unwell()
	for _, n := range s.nodes[1:] {
		if n.life == nil || !n.life.serving || !s.quorum.image.Active(n.id) {
			why = fmt.Sprintf("node %d does not serve", n.id)
		}
	}
	s.check.fail("%v after all faults have ended the cluster has not recovered: %s", settleTime, why)
}

// bury ends all processes, so that nothing of a run is left when the next begins.
func (s *Sim) bury() {
	s.over = true
	for _, n := range s.nodes[1:] {
		if n.life == nil {
			continue
		}
		l := n.life
		l.alive, n.life = false, nil
		n.disk.abandon()
		l.end()
		n.disk.release()
	}
	s.settle()
}

func (s *Sim) stoppedForGood() bool { return s.over }

func (s *Sim) topicName(id kafkaproto.TopicPartition) string {
	i := slices.IndexFunc(s.topics, func(t *topic) bool { return t.id == id.Topic })
	return s.topics[i].name
}
