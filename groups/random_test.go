package groups

import (
	"fmt"
	"hash/fnv"
	"math/rand"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Clients that do what clients do, and some that do anything, on a machine whose driver fails over now and then. Whatever
// happens, the machine holds what check asks, knows what a machine made of its log knows, answers every request once, and
// does the same again for the same seed.
func TestAMachineMadeOfTheLogKnowsTheSame(t *testing.T) {
	const seeds, steps = 60, 400
	for seed := int64(1); seed <= seeds; seed++ {
		a := newWorld(seed).run(t, steps)
		if seed%10 != 0 {
			continue
		}
		if b := newWorld(seed).run(t, steps); a != b {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

type world struct {
	*script
	r       *rand.Rand
	clients []*client
	made    int
	hash    uint64
}

// client is a consumer as a library would be it, more or less.
type client struct {
	name, group, id string
	instance        *string
	generation      int32
	leads           bool
	members         []string
	waits           bool // for an answer
	joined          bool // and not yet synced
}

func newWorld(seed int64) *world {
	w := &world{script: newScript(), r: rand.New(rand.NewSource(seed))}
	w.o.MaxSize = 3 + w.r.Intn(4)
	w.o.OffsetRetention, w.o.RetentionCheck = time.Duration(20+w.r.Intn(100))*time.Second, 7*time.Second
	w.m.Configure(w.o)
	w.armed(w.o.RetentionCheck)
	w.heard = w.hear
	for i := range 8 {
		c := &client{name: fmt.Sprintf("c%d", i), group: fmt.Sprintf("g%d", w.r.Intn(3))}
		if w.r.Intn(3) == 0 {
			instance := fmt.Sprintf("i%d", w.r.Intn(4))
			c.instance = &instance
		}
		w.clients = append(w.clients, c)
	}
	return w
}

// armed lets the first check come as soon as later ones.
func (w *world) armed(d time.Duration) { w.timers[expireKey] = w.now.Add(d) }

func (w *world) run(t *testing.T, steps int) uint64 {
	for i := range steps {
		w.act()
		check(t, w.m, w.timers)
		if i%20 == 0 {
			compare(t, w.m, w.replayed())
		}
	}
	// Nobody does anything any more: all members die, and who waits is told.
	w.advance(time.Hour)
	check(t, w.m, w.timers)
	compare(t, w.m, w.replayed())
	if len(w.waiting) > 0 {
		t.Fatalf("nobody has answered %v", w.waiting)
	}
	for _, g := range w.m.groups {
		if len(g.members) > 0 || len(g.open) == 0 {
			t.Fatalf("group %s is still there: %d members, %v, open %v", g.id, len(g.members), g.state, g.open)
		}
	}
	return w.hash
}

func (w *world) act() {
	switch n := w.r.Intn(100); {
	case n < 60:
		w.client(w.clients[w.r.Intn(len(w.clients))])
	case n < 80:
		w.advance(time.Duration(w.r.Intn(4000)) * time.Millisecond)
	case n < 90:
		w.anything()
	case n < 93:
		w.mark()
	case n < 94:
		w.failOver()
	default:
		w.admin()
	}
}

func (w *world) client(c *client) {
	switch {
	case c.waits && w.r.Intn(10) > 0:
	case c.generation <= 0 || w.r.Intn(8) == 0:
		w.ask(c, w.join(c))
	case c.joined:
		c.joined = false
		in := SyncGroup{Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation}
		for _, id := range c.members {
			in.Assignments = append(in.Assignments, Assignment{MemberID: id, Data: []byte{byte(w.r.Intn(256))}})
		}
		w.ask(c, in)
	case w.r.Intn(10) == 0:
		w.ask(c, LeaveGroup{Group: c.group, Members: []LeavingMember{{MemberID: c.id, InstanceID: c.instance}}})
		c.id, c.generation = "", 0
	case w.r.Intn(3) == 0:
		w.ask(c, OffsetCommit{Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation, Retention: -1, Offsets: w.offsets()})
	default:
		w.ask(c, Heartbeat{Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation})
	}
}

func (w *world) ask(c *client, in any) {
	c.waits = true
	w.step(c.name, in)
}

func (w *world) join(c *client) JoinGroup {
	if c.instance != nil && w.r.Intn(4) == 0 {
		c.id = "" // it was restarted
	}
	w.made++
	in := JoinGroup{
		Group: c.group, MemberID: c.id, InstanceID: c.instance, ClientID: c.name, NewMemberID: fmt.Sprintf("m%d", w.made),
		SessionTimeout: time.Duration(6+w.r.Intn(20)) * time.Second, RebalanceTimeout: time.Duration(w.r.Intn(20)) * time.Second,
		ProtocolType: consumerProtocol, RequireKnownID: w.r.Intn(2) == 0, CanSkipAssignment: w.r.Intn(2) == 0,
	}
	for _, name := range [][]string{{"range"}, {"sticky", "range"}, {"range", "sticky"}}[w.r.Intn(3)] {
		in.Protocols = append(in.Protocols, Protocol{Name: name, Metadata: subscription([]string{"t"}, fmt.Sprint(w.r.Intn(2)))})
	}
	return in
}

// hear takes an answer to the client that waits for it.
func (w *world) hear(name string, a machine.Reply) {
	h := fnv.New64a()
	fmt.Fprint(h, w.hash, name, showReply(a), w.now.UnixMilli(), len(w.log))
	w.hash = h.Sum64()
	for _, c := range w.clients {
		if c.name == name {
			c.hear(a)
		}
	}
}

func (c *client) hear(a machine.Reply) {
	c.waits = false
	err := a.Err
	switch v := a.Value.(type) {
	case JoinGroupAnswer:
		err = v.Err
		if kafkaproto.Code(err) == kafkaproto.ErrMemberIDRequired.Num {
			c.id = v.MemberID
			return
		}
		if err == nil {
			c.id, c.generation, c.joined, c.leads, c.members = v.MemberID, v.Generation, true, v.Leader == v.MemberID, nil
			for _, mb := range v.Members {
				c.members = append(c.members, mb.MemberID)
			}
		}
	case SyncGroupAnswer:
		err = v.Err
	}
	switch err {
	case nil:
	case kafkaproto.ErrRebalanceInProgress:
		c.generation = 0
	default:
		c.id, c.generation = "", 0
	}
}

func (w *world) offsets() []CommitOffset {
	var out []CommitOffset
	for range 1 + w.r.Intn(3) {
		o := CommitOffset{Topic: []string{"t", "u", "v"}[w.r.Intn(3)], Partition: kafkaproto.PartitionID(w.r.Intn(4)),
			Offset: kafkaproto.Offset(w.r.Intn(100)), LeaderEpoch: kafkaproto.LeaderEpoch(w.r.Intn(3) - 1)}
		o.TopicID[0] = byte(w.r.Intn(3))
		if w.r.Intn(3) == 0 {
			text := "metadata"[:w.r.Intn(9)]
			o.Metadata = &text
		}
		out = append(out, o)
	}
	return out
}

// anything is a request that need not make sense.
func (w *world) anything() {
	group := fmt.Sprintf("g%d", w.r.Intn(5))
	id := fmt.Sprintf("m%d", 1+w.r.Intn(w.made+1))
	var instance *string
	if w.r.Intn(3) == 0 {
		i := fmt.Sprintf("i%d", w.r.Intn(5))
		instance = &i
	}
	generation := int32(w.r.Intn(6) - 1)
	w.step("anyone", []any{
		Heartbeat{Group: group, MemberID: id, InstanceID: instance, Generation: generation},
		SyncGroup{Group: group, MemberID: id, InstanceID: instance, Generation: generation},
		LeaveGroup{Group: group, Members: []LeavingMember{{MemberID: id, InstanceID: instance}, {InstanceID: instance}}},
		OffsetCommit{Group: group, Generation: -1, Retention: time.Duration(w.r.Intn(60)-20) * time.Second, Offsets: w.offsets()},
		OffsetCommit{Group: group, MemberID: id, Generation: generation, Offsets: w.offsets()},
		TxnOffsetCommit{Group: group, Producer: machine.Producer{ID: int64(w.r.Intn(3))}, Generation: -1, Offsets: w.offsets()},
		TxnOffsetCommit{Group: group, Producer: machine.Producer{ID: int64(w.r.Intn(3))}, MemberID: id, Generation: generation, Offsets: w.offsets()},
		w.join(&client{group: group, id: id, instance: instance}),
	}[w.r.Intn(8)])
}

func (w *world) mark() {
	p, commit := machine.Producer{ID: int64(w.r.Intn(3))}, w.r.Intn(2) == 0
	w.m.ReplayMarker(int64(len(w.log)), p, commit)
	w.log = append(w.log, entry{p: p, marker: true, commit: commit})
}

func (w *world) failOver() {
	w.load()
	w.armed(w.o.RetentionCheck)
	for _, c := range w.clients {
		c.waits = false
	}
}

func (w *world) admin() {
	group := fmt.Sprintf("g%d", w.r.Intn(5))
	rows := []OffsetFetchTopic{{Topic: "t", Partitions: []kafkaproto.PartitionID{0, 1}}, {Topic: "u", Partitions: []kafkaproto.PartitionID{2}}}
	switch w.r.Intn(6) {
	case 0:
		w.step("anyone", DeleteGroup{Group: group})
	case 1:
		w.step("anyone", DeleteOffsets{Group: group, Topics: rows})
	case 2:
		w.step("", TopicsDeleted{Topics: []string{"v"}, IDs: []kafkaproto.TopicID{{byte(w.r.Intn(3))}}})
	case 3:
		w.step("anyone", ListGroups{})
	case 4:
		w.step("anyone", OffsetFetch{Group: group, Topics: rows, RequireStable: w.r.Intn(2) == 0})
	case 5:
		w.step("anyone", DescribeGroup{Group: group})
	}
}
