package controller

import (
	"slices"
	"strconv"

	"github.com/streambus/streambus/internal/planted"
)

// election computes what becomes of partitions when what is known about one broker changes: it leaves, comes back under a
// new registration, or starts to serve. KIP-966 is the source of the rules on ELR and last known leader, whose lists are
// kept only where the feature is finalized; without it the last member never leaves an ISR.
type election struct {
	img      *Image
	defaults Defaults
	actives  map[int32]bool // of img, looked up once for all partitions

	gone      int32 // may no longer lead, leaves ISRs that have other members; NoLeader if none
	staying   bool  // gone still serves, so it keeps what nobody else can lead
	forgot    bool  // gone may have lost acknowledged data, so it leaves the ELR as well
	wiped     bool  // gone has come back with an empty directory: it leads nothing that others may have
	returning int32 // is registering: leads, though still fenced, where nobody else can; NoLeader if none
	serving   int32 // counts as active although the image does not say so yet; NoLeader if none
}

func (d *decision) election() election {
	actives := map[int32]bool{}
	for b := range d.img.Brokers() {
		actives[b.ID] = b.Active()
	}
	return election{img: d.img, defaults: d.defaults, actives: actives, gone: NoLeader, returning: NoLeader, serving: NoLeader}
}

// holdElection goes through the partitions that have a replica on a broker and emits those that change.
func (d *decision) holdElection(broker int32, e election) {
	for t := range d.img.Topics() {
		var rules topicRules
		for _, p := range t.Partitions {
			if !slices.Contains(p.Replicas, broker) || !e.touches(p) {
				continue
			}
			if rules == (topicRules{}) {
				rules = rulesOf(d.img, d.defaults, t)
			}
			if next := e.next(p, rules); next != nil {
				d.emit(&PartitionChanged{Topic: t.ID, Partition: *next})
			}
		}
	}
}

// touches says whether the broker's change can matter to a partition, so that most are passed by quickly.
func (e election) touches(p *Partition) bool {
	if e.serving != NoLeader {
		return p.Leader == NoLeader
	}
	return p.Leader == e.gone || slices.Contains(p.ISR, e.gone) || slices.Contains(p.ELR, e.gone) ||
		slices.Contains(p.LastKnownELR, e.gone)
}

// uncleanElection is the property that lets replicas lead that lack records.
const uncleanElection = "unclean.leader.election.enable"

// topicRules are what a topic's configuration says about elections.
type topicRules struct {
	minISR  int
	unclean bool
}

func rulesOf(img *Image, d Defaults, t *Topic) topicRules {
	r := topicRules{minISR: max(1, d.MinInSyncReplicas), unclean: d.UncleanElection}
	if n, err := strconv.Atoi(dynamic(img, t.Name, minISR)); err == nil {
		r.minISR = max(1, n)
	}
	if b, err := strconv.ParseBool(dynamic(img, t.Name, uncleanElection)); err == nil {
		r.unclean = b
	}
	return r
}

// dynamic is a topic's config as set on the topic or for the whole cluster, else empty.
func dynamic(img *Image, topic, key string) string {
	if v, ok := img.Config(TopicConfig, topic)[key]; ok {
		return v
	}
	return img.Config(BrokerConfig, "")[key]
}

// next is the partition as it should be, or nil if it is right as it is.
func (e election) next(p *Partition, rules topicRules) *Partition {
	n := *p
	n.ISR, n.ELR, n.LastKnownELR = e.eligible(p, rules)
	n.Leader = e.pick(&n, rules)
	if n.Leader == NoLeader && e.staying && p.Leader == e.gone {
		return nil
	}
	if n.Leader != NoLeader && !slices.Contains(n.ISR, n.Leader) {
		n.ISR, n.ELR, n.LastKnownELR = []int32{n.Leader}, without(n.ELR, n.Leader), nil
		if len(n.ISR) >= min(rules.minISR, len(n.Replicas)) {
			n.ELR = nil // it may acknowledge from here on what those in the ELR lack
		}
	}
	restarted := e.returning != NoLeader && n.Leader == e.returning && !planted.Is(planted.EpochReused)
	if n.Leader != p.Leader || restarted {
		n.LeaderEpoch++
	} else if slices.Equal(n.ISR, p.ISR) && slices.Equal(n.ELR, p.ELR) && slices.Equal(n.LastKnownELR, p.LastKnownELR) {
		return nil
	}
	n.PartitionEpoch++
	return &n
}

// eligible is who may lead after e.gone has left.
func (e election) eligible(p *Partition, rules topicRules) (isr, elr, lastKnown []int32) {
	isr, elr, lastKnown = p.ISR, p.ELR, p.LastKnownELR
	if e.gone == NoLeader {
		return isr, elr, lastKnown
	}
	isr = without(p.ISR, e.gone)
	if e.img.Features()[EligibleReplicas] == 0 {
		if len(isr) == 0 {
			isr = p.ISR
		}
		return isr, elr, lastKnown
	}
	isr, elr, lastKnown = eligibleReplicas(p, isr, e.gone, e.forgot, rules.minISR)
	if e.wiped && len(p.Replicas) > 1 {
		lastKnown = without(lastKnown, e.gone)
	}
	return isr, elr, lastKnown
}

// eligibleReplicas keeps ELR and last known leader for a partition whose ISR becomes isr, in a cluster that has the feature.
func eligibleReplicas(p *Partition, isr []int32, gone int32, forgot bool, minISR int) (_, elr, lastKnown []int32) {
	if len(isr) >= min(minISR, len(p.Replicas)) {
		return isr, nil, nil
	}
	for _, r := range p.Replicas {
		was := slices.Contains(p.ISR, r) || slices.Contains(p.ELR, r)
		if was && !slices.Contains(isr, r) && (r != gone || !forgot) {
			elr = append(elr, r)
		}
	}
	if len(isr) > 0 {
		return isr, elr, nil
	}
	if p.Leader != NoLeader {
		return isr, elr, []int32{p.Leader}
	}
	return isr, elr, p.LastKnownELR
}

// pick chooses the leader of a partition whose ISR and ELR are already right.
func (e election) pick(p *Partition, rules topicRules) int32 {
	if slices.Contains(p.ISR, p.Leader) && e.active(p.Leader) {
		return p.Leader
	}
	for _, eligible := range [][]int32{p.ISR, p.ELR} {
		for _, r := range p.Replicas {
			if slices.Contains(eligible, r) && e.active(r) {
				return r
			}
		}
	}
	nobody := len(p.ISR) == 0 && len(p.ELR) == 0
	lastKnown := nobody && len(p.LastKnownELR) > 0
	if b := e.returning; b != NoLeader && (slices.Contains(p.ISR, b) || slices.Contains(p.ELR, b) ||
		lastKnown && p.LastKnownELR[0] == b) {
		return b
	}
	if lastKnown && e.active(p.LastKnownELR[0]) {
		return p.LastKnownELR[0]
	}
	if rules.unclean {
		for _, r := range p.Replicas {
			if e.active(r) {
				return r
			}
		}
	}
	return NoLeader
}

func (e election) active(id int32) bool {
	return id == e.serving || id != e.gone && e.actives[id]
}

// without is a copy of list that lacks id, or the list itself if it does.
func without(list []int32, id int32) []int32 {
	if !slices.Contains(list, id) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(r int32) bool { return r == id })
}
