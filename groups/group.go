package groups

import (
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// consumerProtocol is the protocol type of consumers; what their members say and are told has Kafka's format.
const consumerProtocol = "consumer"

// group is a classic group, or one that only stores offsets (a "simple" group: no protocol type, no members ever).
type group struct {
	id           string
	state        state
	previous     state // what it was before; a rebalance of a group that was empty is the initial one
	generation   int32
	protocolType string  // empty: none
	protocol     *string // chosen by the members' votes
	leader       string  // member id; empty: none
	stateAt      kafkaproto.Timestamp

	members   map[string]*member
	order     []*member          // as they came: what depends on an order takes this one
	static    map[string]*member // by instance id
	supported map[string]int     // how many members know a protocol
	pending   map[string]*alarm  // ids that were given out and have not come back
	awaiting  int                // members whose JoinGroup waits
	unsynced  int                // members that have not sent SyncGroup in this generation

	joinAt      time.Time // when the join phase ends at the latest; zero: no timer is set
	syncAt      time.Time // when those that have not synced are removed
	initial     initialRebalance
	subscribed  map[string]struct{} // topics that members are subscribed to
	knowsTopics bool                // whether subscribed says anything

	topics map[string]*topicOffsets
	gone   bool    // its record is a tombstone, and only open keeps it
	open   []int64 // producers with an open transaction that has offsets of this group
}

// initialRebalance waits for more members than the first before it ends (group.initial.rebalance.delay.ms).
type initialRebalance struct {
	running   bool
	delay     time.Duration // how long it is waited this time
	remaining time.Duration // how long it may be waited after that
	joined    bool          // someone came since the wait began, so it is worth to wait once more
}

func newGroup(id string) *group {
	return &group{id: strings.Clone(id), stateAt: kafkaproto.NoTimestamp}
}

func (g *group) isConsumer() bool { return g.protocolType == consumerProtocol }

func (g *group) isLeader(memberID string) bool { return g.leader != "" && g.leader == memberID }

// allJoined tells whether the join phase has nobody to wait for.
func (g *group) allJoined() bool { return g.awaiting == len(g.members) && len(g.pending) == 0 }

// moveTo changes the state. The time counts when offsets of an empty group expire.
func (g *group) moveTo(s state, now time.Time) {
	g.previous, g.state, g.stateAt = g.state, s, stamp(now)
}

// rebalanceTimeout is the longest that a member asks for.
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, mb := range g.order {
		longest = max(longest, mb.rebalanceTimeout)
	}
	return longest
}

// add takes a member in. The first one decides what kind of group it is, and leads.
func (g *group) add(mb *member) {
	if g.members == nil {
		g.members, g.static, g.supported = map[string]*member{}, map[string]*member{}, map[string]int{}
	}
	if len(g.members) == 0 {
		g.protocolType = mb.protocolType
	}
	if g.leader == "" {
		g.leader = mb.id
	}
	g.members[mb.id] = mb
	g.order = append(g.order, mb)
	if mb.instance != nil {
		g.static[*mb.instance] = mb
	}
	g.count(mb, 1)
}

// remove forgets a member; whoever came first after it leads if it did. Its parked requests are the caller's.
func (g *group) remove(mb *member) {
	delete(g.members, mb.id)
	g.order = slices.DeleteFunc(g.order, func(o *member) bool { return o == mb })
	if mb.instance != nil {
		delete(g.static, *mb.instance)
	}
	g.count(mb, -1)
	g.synced(mb)
	if g.leader == mb.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
	if len(g.members) == 0 {
		g.members, g.order, g.static, g.supported = nil, nil, nil, nil
	}
}

// replace puts a static member's new incarnation where the old one was.
func (g *group) replace(old, mb *member) {
	g.synced(old)
	delete(g.members, old.id)
	g.members[mb.id] = mb
	g.order[slices.Index(g.order, old)] = mb
	g.static[*mb.instance] = mb
	if g.leader == old.id {
		g.leader = mb.id
	}
}

// synced notes that nothing is awaited of the member in the sync phase.
func (g *group) synced(mb *member) {
	if mb.pendingSync {
		mb.pendingSync = false
		g.unsynced--
	}
}

// validate is the check of a member that every request of it goes through.
func (g *group) validate(memberID string, instance *string) (*member, error) {
	if instance != nil {
		owner := g.static[*instance]
		if owner == nil {
			return nil, kafkaproto.ErrUnknownMemberID
		}
		if owner.id != memberID {
			return nil, kafkaproto.ErrFencedInstanceID
		}
	}
	mb := g.members[memberID]
	if mb == nil {
		return nil, kafkaproto.ErrUnknownMemberID
	}
	return mb, nil
}

// electJoined makes a member that has joined the leader if the leader has not. False if nobody has.
func (g *group) electJoined() bool {
	leader := g.members[g.leader]
	if leader == nil {
		return false
	}
	if leader.join.waiting {
		return true
	}
	for _, mb := range g.order {
		if mb.join.waiting {
			g.leader = mb.id
			return true
		}
	}
	return false
}

// nextGeneration begins one with the members that there are.
func (g *group) nextGeneration(now time.Time) {
	g.generation++
	g.clearUnsynced()
	if len(g.members) == 0 {
		g.protocol = nil
		g.learnTopics()
		g.moveTo(empty, now)
		return
	}
	p := g.chooseProtocol()
	g.protocol = &p
	g.learnTopics()
	g.moveTo(completingRebalance, now)
}

func (g *group) clearUnsynced() {
	for _, mb := range g.order {
		g.synced(mb)
	}
}

// protocolTypeOrNil is the type as answers have it.
func (g *group) protocolTypeOrNil() *string {
	if g.protocolType == "" {
		return nil
	}
	return &g.protocolType
}

// stamp is a time as records have it.
func stamp(t time.Time) kafkaproto.Timestamp { return kafkaproto.Timestamp(t.UnixMilli()) }

// parked is a request that waits for its answer.
type parked struct {
	ticket  machine.Ticket
	waiting bool
}
