package groups

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// The scripts in testdata/scripts drive a machine and print what it writes and answers. After each command the machine is checked, and
// compared with one that has only replayed what was written.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := newScript()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// script is a driver: it keeps the log and the timers, and knows who waits.
type script struct {
	o       Options
	m       *Machine
	now     time.Time
	log     []entry
	timers  map[string]time.Time
	waiting map[machine.Ticket]string
	last    machine.Ticket
	out     strings.Builder
	heard   func(name string, a machine.Reply) // if it is set, nobody reads out
}

type entry struct {
	p      machine.Producer
	r      machine.Record
	marker bool
	commit bool
}

var scriptStart = time.UnixMilli(1_700_000_000_000)

func newScript() *script {
	s := &script{now: scriptStart, o: Options{
		InitialRebalanceDelay: 3 * time.Second, MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute,
		MaxSize: 1000, MaxMetadataBytes: 20, OffsetRetention: 24 * time.Hour, RetentionCheck: 10 * time.Minute,
	}}
	s.load()
	return s
}

// load is what happens when this node becomes the leader.
func (s *script) load() {
	s.m, s.timers, s.waiting = s.replayed(), map[string]time.Time{}, map[machine.Ticket]string{}
	s.take(s.m.Loaded(s.now))
}

// replayed is a machine that knows no more than the log.
func (s *script) replayed() *Machine {
	m := New(s.o)
	for i, e := range s.log {
		if e.marker {
			m.ReplayMarker(int64(i), e.p, e.commit)
			continue
		}
		if err := m.Replay(int64(i), e.p, e.r); err != nil {
			panic(err)
		}
	}
	return m
}

// step gives the machine an input under a name for its ticket.
func (s *script) step(name string, input any) {
	s.last++
	if name != "" {
		s.waiting[s.last] = name
	}
	s.take(s.m.Step(s.now, s.last, input))
}

// take does what a driver does with a result, and prints it.
func (s *script) take(r machine.Result[machine.Record]) {
	p := machine.NoProducer
	if r.Producer != nil {
		p = *r.Producer
	}
	for _, rec := range r.Records {
		if s.heard == nil {
			fmt.Fprintln(&s.out, "write", showRecord(rec))
		}
		if err := s.m.Replay(int64(len(s.log)), p, rec); err != nil {
			panic(err)
		}
		s.log = append(s.log, entry{p: p, r: rec})
	}
	for _, a := range r.Replies {
		name, ok := s.waiting[a.Ticket]
		if !ok {
			panic(fmt.Sprintf("ticket %d was answered before", a.Ticket))
		}
		delete(s.waiting, a.Ticket)
		if s.heard != nil {
			s.heard(name, a)
			continue
		}
		fmt.Fprintf(&s.out, "%s: %s\n", name, showReply(a))
	}
	for _, timer := range r.Timers {
		s.timers[timer.Key] = timer.At
		if timer.At.IsZero() {
			delete(s.timers, timer.Key)
		}
	}
}

// advance lets time pass and fires what is due on the way.
func (s *script) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		key := ""
		for k, at := range s.timers {
			if !at.After(end) && (key == "" || at.Before(s.timers[key]) || at.Equal(s.timers[key]) && k < key) {
				key = k
			}
		}
		if key == "" {
			s.now = end
			return
		}
		if at := s.timers[key]; at.After(s.now) {
			s.now = at
		}
		delete(s.timers, key)
		before := s.out.Len()
		r := s.m.Step(s.now, 0, TimerFired{Key: key})
		s.take(r)
		if s.out.Len() > before {
			text := s.out.String()
			s.out.Reset()
			fmt.Fprintf(&s.out, "%s(%v: %s)\n%s", text[:before], s.now.Sub(scriptStart), key, text[before:])
		}
	}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	a := args{t, d}
	switch d.Cmd {
	case "options":
		s.options(a)
	case "advance":
		s.advance(a.duration("", 0))
	case "failover":
		s.failover()
	case "describe":
		s.describe()
	case "timers":
		for _, k := range sortedKeys(s.timers) {
			fmt.Fprintf(&s.out, "%s in %v\n", k, s.timers[k].Sub(s.now))
		}
	case "marker":
		p := machine.Producer{ID: int64(a.int("producer", 0)), Epoch: 0}
		commit := a.str("", "") == "commit"
		s.m.ReplayMarker(int64(len(s.log)), p, commit)
		s.log = append(s.log, entry{p: p, marker: true, commit: commit})
	default:
		name, in := a.input()
		s.step(name, in)
	}
	check(t, s.m, s.timers)
	compare(t, s.m, s.replayed())
	return s.out.String()
}

func (s *script) failover() {
	for _, ticket := range sortedKeys(s.waiting) {
		fmt.Fprintf(&s.out, "lost: %s\n", s.waiting[ticket])
	}
	s.load()
}

func (s *script) options(a args) {
	o := &s.o
	o.InitialRebalanceDelay = a.duration("initial-delay", o.InitialRebalanceDelay)
	o.OffsetRetention = a.duration("retention", o.OffsetRetention)
	o.RetentionCheck = a.duration("check", o.RetentionCheck)
	o.MaxSize, o.MaxMetadataBytes = a.int("max-size", o.MaxSize), a.int("metadata", o.MaxMetadataBytes)
	o.MaxBatchBytes = a.int("batch", o.MaxBatchBytes)
	s.m.Configure(*o)
}

func (s *script) describe() {
	for _, g := range s.m.listGroups(ListGroups{}) {
		d := s.m.describeGroup(DescribeGroup{Group: g.Group})
		fmt.Fprintf(&s.out, "%s: %s", g.Group, d.State)
		if d.ProtocolType != "" {
			fmt.Fprintf(&s.out, " type=%s", d.ProtocolType)
		}
		in := s.m.groups[g.Group]
		fmt.Fprintf(&s.out, " generation=%d", in.generation)
		if in.leader != "" {
			fmt.Fprintf(&s.out, " leader=%s", in.leader)
		}
		if d.Protocol != "" {
			fmt.Fprintf(&s.out, " protocol=%s", d.Protocol)
		}
		if len(in.pending) > 0 {
			fmt.Fprintf(&s.out, " pending=%v", sortedKeys(in.pending))
		}
		fmt.Fprintln(&s.out)
		for _, mb := range d.Members {
			fmt.Fprintf(&s.out, "  %s%s client=%s%s assigned=%q\n", mb.MemberID, showInstance(mb.InstanceID), mb.ClientID, mb.ClientHost, mb.Assignment)
		}
	}
}

// args are those of a command. Protocols are named with protocols=(range,sticky); what the member says to each is made of
// topics=(a,b) and say=text.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

// vals are the values of an argument; the empty name stands for the first one that has none, "-" for an empty value.
func (a args) vals(name string) ([]string, bool) {
	for _, arg := range a.d.CmdArgs {
		switch {
		case name == "" && len(arg.Vals) == 0:
			return []string{arg.Key}, true
		case arg.Key == name && len(arg.Vals) > 0:
			return slices.DeleteFunc(slices.Clone(arg.Vals), func(v string) bool { return v == "" }), true
		}
	}
	return nil, false
}

func (a args) str(name, def string) string {
	if v, ok := a.vals(name); ok {
		return strings.Trim(strings.Join(v, ","), "-")
	}
	return def
}

func (a args) opt(name string) *string {
	if v, ok := a.vals(name); ok {
		return &v[0]
	}
	return nil
}

func (a args) int(name string, def int) int {
	v, ok := a.vals(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v[0])
	if err != nil {
		a.d.Fatalf(a.t, "%s: %v", name, err)
	}
	return n
}

func (a args) duration(name string, def time.Duration) time.Duration {
	v, ok := a.vals(name)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(v[0])
	if err != nil {
		a.d.Fatalf(a.t, "%s: %v", name, err)
	}
	return d
}

func (a args) flag(name string) bool {
	return slices.ContainsFunc(a.d.CmdArgs, func(arg datadriven.CmdArg) bool { return arg.Key == name && len(arg.Vals) == 0 })
}

// input makes the input of a command, and a name for who asks.
func (a args) input() (string, any) {
	g := a.str("g", "g")
	id := a.str("id", "")
	switch a.d.Cmd {
	case "join":
		return a.join(g, id)
	case "sync":
		in := SyncGroup{Group: g, MemberID: id, InstanceID: a.opt("instance"), Generation: int32(a.int("gen", 1)),
			ProtocolType: a.opt("type"), Protocol: a.opt("protocol")}
		given, _ := a.vals("assign")
		for _, v := range given {
			who, what, _ := strings.Cut(v, ":")
			in.Assignments = append(in.Assignments, Assignment{MemberID: who, Data: []byte(what)})
		}
		return "sync " + id, in
	case "heartbeat":
		return "heartbeat " + id, Heartbeat{Group: g, MemberID: id, InstanceID: a.opt("instance"), Generation: int32(a.int("gen", 1))}
	case "leave":
		in := LeaveGroup{Group: g}
		who, _ := a.vals("members")
		for _, w := range who {
			member, instance, static := strings.Cut(w, "@")
			l := LeavingMember{MemberID: member}
			if static {
				l.InstanceID = &instance
			}
			in.Members = append(in.Members, l)
		}
		return "leave", in
	case "commit":
		return "commit", OffsetCommit{Group: g, MemberID: id, InstanceID: a.opt("instance"), Generation: int32(a.int("gen", -1)),
			Retention: a.duration("retention", -1), Offsets: a.offsets(), KnowsGroupIDNotFound: a.flag("v9")}
	case "txn-commit":
		return "txn-commit", TxnOffsetCommit{Group: g, MemberID: id, InstanceID: a.opt("instance"),
			Generation: int32(a.int("gen", -1)), Producer: machine.Producer{ID: int64(a.int("producer", 0))}, Offsets: a.offsets()}
	case "fetch":
		in := OffsetFetch{Group: g, All: a.flag("all"), RequireStable: a.flag("stable")}
		in.Topics = a.topics("of")
		return "fetch", in
	}
	return a.adminInput(g)
}

func (a args) adminInput(g string) (string, any) {
	switch a.d.Cmd {
	case "describe-group":
		return "describe", DescribeGroup{Group: g}
	case "list":
		states, _ := a.vals("states")
		types, _ := a.vals("types")
		return "list", ListGroups{States: states, Types: types}
	case "delete-group":
		return "delete-group", DeleteGroup{Group: g}
	case "delete-offsets":
		return "delete-offsets", DeleteOffsets{Group: g, Topics: a.topics("of")}
	case "topics-deleted":
		names, _ := a.vals("topics")
		in := TopicsDeleted{Topics: names}
		if n := a.int("topic-id", 0); n > 0 {
			in.IDs = []kafkaproto.TopicID{{byte(n)}}
		}
		return "", in
	}
	a.d.Fatalf(a.t, "unknown command %s", a.d.Cmd)
	return "", nil
}

func (a args) join(g, id string) (string, any) {
	in := JoinGroup{
		Group: g, MemberID: id, InstanceID: a.opt("instance"), ClientID: a.str("client", "c"), ClientHost: "/10.0.0.1",
		NewMemberID: a.str("new", ""), SessionTimeout: a.duration("session", 10*time.Second),
		RebalanceTimeout: a.duration("rebalance", time.Minute), ProtocolType: a.str("type", consumerProtocol),
		RequireKnownID: a.int("v", 3) >= 4, CanSkipAssignment: a.int("v", 3) >= 9,
	}
	topics, _ := a.vals("topics")
	if topics == nil {
		topics = []string{"t"}
	}
	names, ok := a.vals("protocols")
	if !ok {
		names = []string{"range"}
	}
	says := subscription(topics, a.str("say", ""))
	if raw := a.str("raw", ""); raw != "" {
		says = []byte(raw)
	}
	for _, p := range names {
		in.Protocols = append(in.Protocols, Protocol{Name: p, Metadata: says})
	}
	if who := id; who != "" {
		return "join " + who, in
	}
	return "join " + in.NewMemberID, in
}

// offsets are given as topic/partition:offset:leader-epoch:metadata, of which the last two may be missing.
func (a args) offsets() []CommitOffset {
	given, _ := a.vals("offsets")
	var out []CommitOffset
	for _, v := range given {
		parts := strings.Split(v, ":")
		topic, partition, _ := strings.Cut(parts[0], "/")
		c := CommitOffset{Topic: topic, LeaderEpoch: kafkaproto.NoLeaderEpoch}
		c.TopicID[0] = byte(a.int("topic-id", 0))
		c.Partition = kafkaproto.PartitionID(number(partition))
		c.Offset = kafkaproto.Offset(number(parts[1]))
		if len(parts) > 2 {
			c.LeaderEpoch = kafkaproto.LeaderEpoch(number(parts[2]))
		}
		if len(parts) > 3 {
			c.Metadata = &parts[3]
		}
		if at, ok := a.vals("at"); ok {
			ts := kafkaproto.Timestamp(number(at[0]))
			c.Timestamp = &ts
		}
		out = append(out, c)
	}
	return out
}

func (a args) topics(name string) []OffsetFetchTopic {
	given, _ := a.vals(name)
	var out []OffsetFetchTopic
	for _, v := range given {
		topic, partition, _ := strings.Cut(v, "/")
		ft := OffsetFetchTopic{Topic: topic, Partitions: []kafkaproto.PartitionID{kafkaproto.PartitionID(number(partition))}}
		ft.TopicID[0] = byte(a.int("topic-id", 0))
		out = append(out, ft)
	}
	return out
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
