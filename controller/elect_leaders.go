package controller

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// ElectLeaders is Kafka's request of that name (KIP-183, KIP-460). Answered with []ElectLeadersAnswer, in the order of the
// request. Error as a whole: POLICY_VIOLATION if that would be more than 10,000 elections.
type ElectLeaders struct {
	// Unclean lets any living replica lead a partition that has no leader, whatever records that costs. Without it the
	// first replica becomes the leader, if it is in the ISR and lives.
	Unclean bool
	// Topics to hold elections for. Nil: for all, and only what changed or failed is told.
	Topics []ElectLeadersTopic
}

// ElectLeadersTopic names partitions of a topic.
type ElectLeadersTopic struct {
	Name       string
	Partitions []kafkaproto.PartitionID
}

// ElectLeadersAnswer answers for one topic.
type ElectLeadersAnswer struct {
	Name       string
	Partitions []ElectedLeader
}

// ElectedLeader is how the election of a partition's leader went. Errors: UNKNOWN_TOPIC_OR_PARTITION, ELECTION_NOT_NEEDED,
// PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE.
type ElectedLeader struct {
	Partition kafkaproto.PartitionID
	Err       error
}

func (ElectLeaders) command() {}

// In Kafka's words.
var (
	errNotNeeded    = kafkaproto.ErrElectionNotNeeded.With("Leader election not needed for topic partition.")
	errNotPreferred = kafkaproto.ErrPreferredLeaderNotAvailable.With("The preferred leader was not available.")
	errNotEligible  = kafkaproto.ErrEligibleLeadersNotAvailable.With("Eligible topic partition leaders are not available.")
)

func (d *decision) electLeaders(c ElectLeaders) ([]ElectLeadersAnswer, error) {
	answers := d.electAll(d.election(), c)
	if len(d.events) > maxEventsPerRequest {
		return nil, errTooMuch
	}
	return answers, nil
}

func (d *decision) electAll(e election, c ElectLeaders) []ElectLeadersAnswer {
	var answers []ElectLeadersAnswer
	if c.Topics == nil {
		for t := range d.img.Topics() {
			a := ElectLeadersAnswer{Name: t.Name}
			for _, p := range t.Partitions {
				if err := d.electLeader(e, t, p, c.Unclean); err != errNotNeeded {
					a.Partitions = append(a.Partitions, ElectedLeader{p.ID, err})
				}
			}
			answers = append(answers, a)
		}
		return answers
	}
	held := map[kafkaproto.TopicPartition]bool{}
	for _, asked := range c.Topics {
		a := ElectLeadersAnswer{Name: asked.Name}
		for _, n := range asked.Partitions {
			a.Partitions = append(a.Partitions, ElectedLeader{n, d.electNamed(e, asked.Name, n, c.Unclean, held)})
		}
		answers = append(answers, a)
	}
	return answers
}

func (d *decision) electNamed(e election, topic string, n kafkaproto.PartitionID, unclean bool, held map[kafkaproto.TopicPartition]bool) error {
	t, ok := d.img.Topic(topic)
	if !ok {
		return kafkaproto.ErrUnknownTopicOrPartition.With("No such topic as %s", topic)
	}
	if n < 0 || int(n) >= len(t.Partitions) {
		return kafkaproto.ErrUnknownTopicOrPartition.With("No such partition as %s-%d", topic, n)
	}
	id := kafkaproto.TopicPartition{Topic: t.ID, Partition: n}
	if held[id] {
		return errNotNeeded // the request names it twice
	}
	held[id] = true
	return d.electLeader(e, t, t.Partitions[n], unclean)
}

func (d *decision) electLeader(e election, t *Topic, p *Partition, unclean bool) error {
	if unclean && p.Leader != NoLeader || !unclean && p.Leader == p.Replicas[0] {
		return errNotNeeded
	}
	next, failure := e.preferred(p), errNotPreferred
	if unclean {
		failure = errNotEligible
	}
	if next == nil {
		rules := rulesOf(d.img, d.defaults, t)
		rules.unclean = unclean
		next = e.next(p, rules)
	}
	if next == nil || next.Leader == p.Leader {
		return failure
	}
	d.emit(&PartitionChanged{Topic: t.ID, Partition: *next})
	return nil
}

// preferred is the partition led by its first replica, or nil where that may not lead.
func (e election) preferred(p *Partition) *Partition {
	first := p.Replicas[0]
	if p.Leader == first || !slices.Contains(p.ISR, first) || !e.active(first) {
		return nil
	}
	n := *p
	n.Leader = first
	n.LeaderEpoch++
	n.PartitionEpoch++
	return &n
}
