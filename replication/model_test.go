package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// The model is three replicas of a partition, a controller and a network that loses, delays and reorders everything. Logs
// are slices; power cuts take what is not flushed. It checks what replication exists for: a committed offset never
// changes and is never lost, and no high watermark stands above an end of the ISR: the flushed one under `always`, else the
// written one.

// plant is a bug that the model must find.
type plant int

const (
	noPlant          plant = iota
	noTruncation           // a follower does not say which epoch its last record has, and so is never told to truncate
	writtenIsFlushed       // a follower reports its written end as flushed
	noHold                 // replicas of a proposal in flight don't count for the high watermark
	shrinkAtOnce           // the leader takes a shrunk ISR for decided when it proposes it
	noForget               // ends of a registration before a power cut go on counting
	anyBroker              // whose fetches were counted is not told with a proposal
	oldAnswers             // an answer is taken whatever was asked
	highAtEnd              // a new leader begins with the high watermark at its own end
	holdFirst              // a replica that joins is let go before it is a member
	joinsBehind            // a replica joins the ISR without having reached the high watermark
)

type entry struct {
	epoch kafkaproto.LeaderEpoch
	value int
}

// node is one replica, with its broker.
type node struct {
	id          int32
	up          bool
	brokerEpoch int64
	log         []entry
	flushed     kafkaproto.Offset
	remembered  kafkaproto.Offset // high watermark on disk
	seen        Decided           // metadata as far as the node knows it
	seenLeader  int32
	peers       []Peer // likewise
	leads       bool
	leader      Leader
	isr         ISR
	follower    Follower
}

type message struct {
	to   int32
	what any
}

type fetchMessage struct {
	from  int32
	epoch int64
	fetch Fetch
}

type answerMessage struct {
	asked   Fetch
	answer  FetchAnswer
	records []entry
}

type proposalMessage struct {
	from int32
	p    Proposal
}

type decisionMessage struct {
	p   Proposal
	d   Decided
	err error
}

type model struct {
	rng       *rand.Rand
	plant     plant
	rules     Rules
	now       time.Time
	nodes     [3]*node
	net       []message
	decided   Decided
	leader    int32
	epochs    int64 // of registrations
	values    int
	committed []entry
	elections int // percent of steps; a leader that lasts meets other trouble than many that don't
	fault     string
}

const modelLag = 10 * time.Second

func newModel(seed uint64, bug plant) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 7)), plant: bug, now: time.Unix(1000, 0), epochs: 3}
	m.rules = Rules{Durable: m.rng.IntN(2) == 0, MinInSync: 1 + m.rng.IntN(2)}
	m.elections = m.rng.IntN(3)
	all := []int32{1, 2, 3}
	m.decided = Decided{Assignment: Assignment{Epoch: 1, Replicas: all, ISR: all}, PartitionEpoch: 1}
	m.leader = 1
	for i := range m.nodes {
		m.nodes[i] = &node{id: int32(i + 1), up: true, brokerEpoch: int64(i + 1), remembered: -1}
	}
	for _, n := range m.nodes {
		m.inform(n)
	}
	return m
}

func (m *model) node(id int32) *node { return m.nodes[id-1] }

func (n *node) local() LocalLog {
	l := LocalLog{Ends: n.ends(), LastEpoch: -1}
	if len(n.log) > 0 {
		l.LastEpoch = n.log[len(n.log)-1].epoch
	}
	return l
}

func (n *node) ends() Ends { return Ends{Written: kafkaproto.Offset(len(n.log)), Flushed: n.flushed} }

// endOfEpoch is the largest epoch at or below e with its end, of those that have records and the one that the
// node leads.
func (n *node) endOfEpoch(e kafkaproto.LeaderEpoch) EpochEnd {
	found := EpochEnd{Epoch: -1, End: -1}
	for i, r := range n.log {
		if r.epoch > e {
			if !found.Known() {
				return EpochEnd{Epoch: e, End: kafkaproto.Offset(i)} // as the log's table of epochs does
			}
			found.End = kafkaproto.Offset(i)
			return found
		}
		found = EpochEnd{Epoch: r.epoch, End: kafkaproto.Offset(i + 1)}
	}
	if n.leads && n.leader.Epoch() <= e {
		found = EpochEnd{Epoch: n.leader.Epoch(), End: kafkaproto.Offset(len(n.log))}
	}
	return found
}

func (m *model) fail(format string, args ...any) {
	if m.fault == "" {
		m.fault = fmt.Sprintf(format, args...)
	}
}

// run takes steps until a check fails, and says what failed.
func (m *model) run(steps int) string {
	for range steps {
		m.step()
		if m.fault != "" {
			return m.fault
		}
	}
	return ""
}

func (m *model) step() {
	m.now = m.now.Add(time.Duration(m.rng.IntN(400)) * time.Millisecond)
	n := m.nodes[m.rng.IntN(3)]
	if !n.up && m.rng.IntN(8) == 0 {
		m.crash(n)
		return
	}
	switch k := m.rng.IntN(100); {
	case k < 50 && len(m.net) > 0:
		m.deliver()
	case k < 72:
		m.fetch(n)
	case k < 80:
		m.produce(n)
	case k < 84:
		m.flush(n)
	case k < 91:
		m.judge(n)
	case k < 95:
		m.inform(n)
	case k < 95+m.elections:
		m.elect()
	case k < 99:
		if n.up && (m.elections > 0 || n.id != m.leader) {
			m.crash(n)
		}
	default:
		m.now = m.now.Add(modelLag)
	}
}

func (m *model) send(to int32, what any) {
	if len(m.net) < 60 {
		m.net = append(m.net, message{to, what})
	}
}

// deliver takes any message: most often hands it over, sometimes twice, sometimes never.
func (m *model) deliver() {
	i := m.rng.IntN(len(m.net))
	msg := m.net[i]
	fate := m.rng.IntN(20)
	if fate > 0 {
		m.net = slices.Delete(m.net, i, i+1)
	}
	if fate == 1 {
		return
	}
	if p, ok := msg.what.(proposalMessage); ok {
		m.control(p)
		return
	}
	n := m.node(msg.to)
	if !n.up {
		return
	}
	switch w := msg.what.(type) {
	case fetchMessage:
		m.serve(n, w)
	case answerMessage:
		m.take(n, w)
	case decisionMessage:
		m.answered(n, w)
	}
}

func (m *model) fetch(n *node) {
	if !n.up || n.leads {
		return
	}
	if f, ok := n.follower.Next(m.now); ok {
		if m.plant == writtenIsFlushed {
			f.FlushedEnd = f.Offset
		}
		if m.plant == noTruncation {
			f.LastEpoch = kafkaproto.NoLeaderEpoch
		}
		m.send(f.Leader, fetchMessage{n.id, n.brokerEpoch, f})
	}
}

// serve is the leader's part of a fetch.
func (m *model) serve(n *node, w fetchMessage) {
	a := answerMessage{asked: w.fetch}
	end := kafkaproto.Offset(len(n.log))
	switch err := CheckEpoch(w.fetch.CurrentEpoch, n.seen.Epoch); {
	case err != nil:
		a.answer.Err = err
	case !n.leads:
		a.answer.Err = kafkaproto.ErrNotLeaderOrFollower
	default:
		if w.fetch.LastEpoch >= 0 {
			if mine := n.endOfEpoch(w.fetch.LastEpoch); Diverges(w.fetch.LastEpoch, w.fetch.Offset, mine) {
				a.answer.Diverging = &mine
				break
			}
		}
		if w.fetch.Offset > end {
			a.answer.Err = kafkaproto.ErrOffsetOutOfRange
			break
		}
		m.count(n, w)
		a.records = slices.Clone(n.log[w.fetch.Offset:min(end, w.fetch.Offset+kafkaproto.Offset(1+m.rng.IntN(4)))])
		a.answer.Records = len(a.records) > 0
		a.answer.HighWatermark = n.leader.HighWatermark()
	}
	m.send(w.from, a)
}

// count takes a fetch as word of how far its replica is.
func (m *model) count(n *node, w fetchMessage) {
	ends := Ends{Written: w.fetch.Offset, Flushed: w.fetch.FlushedEnd}
	fresh, err := n.isr.Fetched(m.now, w.from, w.epoch, ends, kafkaproto.Offset(len(n.log)))
	if err != nil {
		return
	}
	if fresh && m.plant != noForget {
		n.leader.Forget(w.from)
	}
	m.hold(n)
	n.leader.Report(w.from, ends)
	m.rose(n)
}

func (m *model) hold(n *node) {
	if m.plant == noHold {
		return
	}
	n.leader.Hold(n.isr.Counted(m.view(n)))
}

func (m *model) view(n *node) View {
	v := View{
		Now: m.now, Lag: modelLag, LeaderEnd: kafkaproto.Offset(len(n.log)), EpochStart: n.leader.EpochStart(),
		High: n.leader.HighWatermark(), Durable: m.rules.Durable,
	}
	if m.plant == joinsBehind {
		v.High, v.EpochStart = 0, 0
	}
	v.Peers = n.peers
	return v
}

// take is the follower's part of an answer.
func (m *model) take(n *node, w answerMessage) {
	if n.leads {
		return
	}
	f := &n.follower
	if d := w.answer.Diverging; d != nil {
		w.answer.Mine = n.endOfEpoch(d.Epoch)
	}
	asked := w.asked
	if m.plant == noTruncation {
		asked.LastEpoch = f.log.LastEpoch
	}
	if m.plant == oldAnswers {
		asked = f.fetch()
	}
	switch a := f.Answered(m.now, asked, w.answer); a.Do {
	case DoAppend:
		n.log = append(n.log, w.records...)
		f.Appended(n.local())
	case DoTruncate, DoReset:
		if a.To < f.HighWatermark() {
			m.fail("replica %d cuts at %d, below its high watermark %d", n.id, a.To, f.HighWatermark())
		}
		n.cut(a.To)
		f.Truncated(n.local())
	case DoAskOffsets:
		l := m.node(asked.Leader)
		f.LeaderOffsets(m.now, f.Epoch(), 0, kafkaproto.Offset(len(l.log)))
	}
	if f.doing == DoTruncate || f.doing == DoAskOffsets {
		m.fail("replica %d is out of range of a log that lost nothing", n.id)
	}
	n.remembered = max(n.remembered, f.HighWatermark())
}

func (n *node) cut(to kafkaproto.Offset) {
	n.log = slices.Clone(n.log[:to])
	n.flushed = min(n.flushed, to)
}

func (m *model) produce(n *node) {
	if !n.up || !n.leads || len(n.log) > 60 || n.leader.Admit(AcksAll) != nil && m.rng.IntN(3) > 0 {
		return
	}
	for range 1 + m.rng.IntN(3) {
		m.values++
		n.log = append(n.log, entry{n.leader.Epoch(), m.values})
	}
	m.moved(n)
}

func (m *model) flush(n *node) {
	if n.up {
		n.flushed = kafkaproto.Offset(len(n.log))
		m.moved(n)
	}
}

func (m *model) moved(n *node) {
	if !n.leads {
		n.follower.Flushed(n.flushed)
		return
	}
	n.leader.Report(n.id, n.ends())
	m.rose(n)
}

// rose checks what a leader shows.
func (m *model) rose(n *node) {
	high := n.leader.HighWatermark()
	n.remembered = max(n.remembered, high)
	for o := range min(int(high), len(m.committed)) {
		if n.log[o] != m.committed[o] {
			m.fail("replica %d, leader of epoch %d, shows %v at offset %d, which was %v", n.id, n.leader.Epoch(), n.log[o], o, m.committed[o])
			return
		}
	}
	if int(high) > len(m.committed) {
		m.committed = slices.Clone(n.log[:high])
	}
	if n.id != m.leader || n.seen.Epoch != m.decided.Epoch {
		return
	}
	for _, id := range m.decided.ISR {
		held := m.node(id).ends().Written
		if m.rules.Durable {
			held = m.node(id).flushed
		}
		if high > held {
			m.fail("high watermark %d of epoch %d is above %d, the end of replica %d in the ISR", high, n.leader.Epoch(), held, id)
		}
	}
}

// judge lets a leader look after its ISR.
func (m *model) judge(n *node) {
	if !n.up || !n.leads {
		return
	}
	m.hold(n)
	m.rose(n)
	p, ok := n.isr.Propose(m.view(n))
	if !ok && n.isr.Pending() != nil {
		p, ok = *n.isr.Pending(), true // sent again: nobody knows what came of it
	}
	if !ok {
		return
	}
	m.hold(n)
	if m.plant == shrinkAtOnce && len(p.Leaves) > 0 {
		a := n.seen.Assignment
		a.ISR = slices.DeleteFunc(slices.Clone(a.ISR), func(id int32) bool { return slices.Contains(p.Leaves, id) })
		n.leader.Assign(a)
		m.rose(n)
	}
	m.send(0, proposalMessage{n.id, p})
}

// control is the controller's part of AlterPartition.
func (m *model) control(w proposalMessage) {
	res := decisionMessage{p: w.p}
	switch {
	case w.p.LeaderEpoch != m.decided.Epoch || w.from != m.leader:
		res.err = kafkaproto.ErrFencedLeaderEpoch
	case w.p.PartitionEpoch != m.decided.PartitionEpoch:
		res.err = kafkaproto.ErrInvalidUpdateVersion
	case !m.eligible(w.p):
		res.err = kafkaproto.ErrIneligibleReplica
	default:
		m.decided.ISR = nil
		for _, r := range w.p.ISR {
			m.decided.ISR = append(m.decided.ISR, r.ID)
		}
		m.decided.PartitionEpoch++
		res.d = m.decided
	}
	m.send(w.from, res)
}

func (m *model) eligible(p Proposal) bool {
	for _, r := range p.ISR {
		n := m.node(r.ID)
		if !n.up || m.plant != anyBroker && r.Epoch != AnyBrokerEpoch && r.Epoch != n.brokerEpoch {
			return false
		}
	}
	return true
}

func (m *model) answered(n *node, w decisionMessage) {
	if !n.leads {
		return
	}
	if changed, _ := n.isr.Answered(w.p, w.d, w.err, m.now); changed {
		m.assigned(n)
	}
}

func (m *model) assigned(n *node) {
	if m.plant == holdFirst {
		m.hold(n)
	}
	a := n.seen.Assignment
	a.ISR = n.isr.Members()
	n.leader.Assign(a)
	m.hold(n)
	m.rose(n)
}

// inform lets a node see the newest metadata.
func (m *model) inform(n *node) {
	if !n.up {
		return
	}
	n.peers = nil
	for _, o := range m.nodes {
		n.peers = append(n.peers, Peer{ID: o.id, Epoch: o.brokerEpoch, Active: o.up})
	}
	if n.seen.PartitionEpoch == m.decided.PartitionEpoch {
		return
	}
	old := n.seen
	n.seen, n.seenLeader = m.decided, m.leader
	n.seen.ISR = slices.Clone(m.decided.ISR)
	switch {
	case m.leader != n.id && (n.leads || old.Epoch != n.seen.Epoch):
		n.leads = false
		n.follower = Follow(m.leader, n.seen.Epoch, n.local(), n.remembered, Backoff{time.Second, time.Second})
	case m.leader == n.id && old.Epoch != n.seen.Epoch:
		m.lead(n)
	case n.leads:
		if n.isr.Decide(n.seen, m.now) {
			m.assigned(n)
		}
	}
}

func (m *model) lead(n *node) {
	for o, e := range m.committed {
		if o >= len(n.log) || n.log[o] != e {
			m.fail("replica %d leads epoch %d without the committed offset %d", n.id, n.seen.Epoch, o)
			return
		}
	}
	known := n.remembered
	if m.plant == highAtEnd {
		known = kafkaproto.Offset(len(n.log))
	}
	n.leads = true
	n.isr = NewISR(n.id, n.seen, m.now)
	n.leader = Lead(Start{
		Self: n.id, Assignment: n.seen.Assignment, Rules: m.rules, Own: n.ends(), Next: kafkaproto.Offset(len(n.log)), KnownHighWatermark: known,
	})
	m.rose(n)
}

// elect makes another member of the ISR the leader.
func (m *model) elect() {
	var can []int32
	for _, id := range m.decided.ISR {
		if m.node(id).up {
			can = append(can, id)
		}
	}
	if len(can) == 0 {
		return
	}
	m.leader = can[m.rng.IntN(len(can))]
	m.decided.Epoch++
	m.decided.PartitionEpoch++
}

// crash takes a node down, and up again: a new registration. Under `always` the power goes, else only if others hold what
// is committed. The node leaves the ISR if anyone else is in it.
func (m *model) crash(n *node) {
	if n.up {
		n.up = false
		others := len(m.decided.ISR) > 1 || !slices.Contains(m.decided.ISR, n.id)
		if m.rules.Durable || others && m.rng.IntN(2) == 0 {
			lost := kafkaproto.Offset(len(n.log)) - n.flushed
			n.log = slices.Clone(n.log[:n.flushed+kafkaproto.Offset(m.rng.Int64N(int64(lost)+1))])
		}
		if len(m.decided.ISR) > 1 && slices.Contains(m.decided.ISR, n.id) {
			m.decided.ISR = slices.DeleteFunc(slices.Clone(m.decided.ISR), func(id int32) bool { return id == n.id })
			m.decided.PartitionEpoch++
		}
		if m.leader == n.id {
			m.elect()
		}
		return
	}
	m.epochs++
	n.up, n.leads, n.brokerEpoch, n.seen = true, false, m.epochs, Decided{}
	n.flushed = min(n.flushed, kafkaproto.Offset(len(n.log)))
	if m.leader == n.id || !m.node(m.leader).up {
		m.elect()
	}
	n.follower = Follower{epoch: kafkaproto.NoLeaderEpoch}
	m.inform(n)
}

const (
	modelSeeds = 3000
	modelSteps = 600
)

func TestCommittedOffsetsSurviveAnything(t *testing.T) {
	committed := 0
	for seed := range uint64(modelSeeds) {
		m := newModel(seed, noPlant)
		if fault := m.run(modelSteps); fault != "" {
			t.Fatalf("seed %d: %s", seed, fault)
		}
		committed += len(m.committed)
	}
	if committed < modelSeeds*10 {
		t.Fatalf("only %d offsets were committed: the model stands still", committed)
	}
}

func TestTheModelFindsBugs(t *testing.T) {
	names := map[plant]string{
		noTruncation: "no truncation", writtenIsFlushed: "written is flushed", noHold: "no hold", shrinkAtOnce: "shrink at once",
		noForget: "no forget", anyBroker: "any broker", oldAnswers: "old answers", highAtEnd: "high at end", joinsBehind: "joins behind", holdFirst: "hold first",
	}
	for bug, name := range names {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(modelSeeds) {
				if fault := newModel(seed, bug).run(modelSteps); fault != "" {
					t.Logf("seed %d: %s", seed, fault)
					return
				}
			}
			t.Errorf("not found in %d seeds", modelSeeds)
		})
	}
}
