package sim

import (
	"testing"
	"time"
)

// scripted is a run on three nodes with one topic of one partition, whose faults a test chooses.
func scripted(seed uint64, broker policy, t topicPlan, script func(*Sim)) Result {
	o := Options{Seed: seed, Length: 20 * time.Second}
	p := makePlan(o)
	p.policy, p.powered, p.nodes = broker, false, 3
	p.config = makeConfig(&planDice{seed: seed}, broker)
	t.name, t.partitions, t.replicas = "t0", 1, 3
	p.topics, p.script = []topicPlan{t}, script
	return runPlan(o, p)
}

// A topic that is flushed now and then, on brokers that flush always. The power of a follower fails while the leader is cut off:
// it must not be elected for what it had, because it may have it no more.
func TestABrokerThatLostWhatATopicDidNotFlushIsNotElected(t *testing.T) {
	for seed := range uint64(few(16)) {
		topic := topicPlan{own: true, rules: topicRules{policy: interval, minISR: 2}}
		r := scripted(3000+seed, always, topic, func(s *Sim) {
			id := s.topics[0].partition(0)
			s.later(time.Second, "one follower loses touch", func() {
				leader := s.known(id).Leader
				cut(s, leader, leader%3+1)
			})
			s.later(10*time.Second, "wait for an ack", func() {
				s.atAck = func(*node) {
					leader := s.known(id).Leader
					follower := s.nodes[(leader+1)%3+1]
					for host := range int32(4) {
						cut(s, leader, host)
					}
					s.check.crashed(true)
					follower.kill(true)
					s.later(50*time.Millisecond, "restart", follower.start)
				}
			})
		})
		if len(r.Findings) > 0 {
			t.Fatalf("seed %d: %v\n%s%s", r.Seed, r.Findings, r.Plan, r.Log)
		}
		collect()
	}
}

// cut cuts a link in both directions, until the end of all faults.
func cut(s *Sim, a, b int32) {
	s.net.setCut(a, b, true)
	s.net.setCut(b, a, true)
}
