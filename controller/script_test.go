package controller

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// The scripts in testdata drive a machine and print what it decides. Every command's events are also encoded, decoded and
// replayed on a second image, and the image goes through a snapshot, so that what is tested is what a cluster would do.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		s := newScript()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type script struct {
	machine *Machine
	image   *Image // as another node replays it
	index   uint64
	now     time.Time
	timers  map[string]time.Time
	ids     byte // of topics, counted
}

func newScript() *script {
	return &script{image: NewImage(), machine: NewMachine(NewImage(), Defaults{NumPartitions: 2, ReplicationFactor: 1}),
		now: time.Unix(1_700_000_000, 0), timers: map[string]time.Time{}}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "defaults":
		s.machine.defaults = scriptDefaults(t, d)
		return ""
	case "advance":
		return s.advance(t, d.CmdArgs[0].Key)
	case "sleep": // time passes, and no timer fires
		s.now = s.now.Add(duration(t, d.CmdArgs[0].Key))
		return ""
	case "new-leader":
		s.machine, s.timers = NewMachine(s.image, s.machine.defaults), map[string]time.Time{}
		return s.step(t, TakeOver{})
	case "topics":
		return s.topics()
	case "brokers":
		return s.brokers()
	case "configs":
		return fmt.Sprintln(s.image.Config(ConfigKind(intArg(t, d, "kind", 2)), strArg(d, "name")))
	}
	if c := s.command(t, d); c != nil {
		return s.step(t, c)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (s *script) step(t *testing.T, c Command) string {
	return s.take(t, s.machine.Step(s.now, Input{Ticket: 7, Command: c}))
}

// take prints a result and does with it what the quorum does.
func (s *script) take(t *testing.T, r machine.Result[Event]) string {
	var out strings.Builder
	for _, timer := range r.Timers {
		s.timers[timer.Key] = timer.At
	}
	for _, e := range r.Records {
		fmt.Fprintln(&out, describe(s, e))
	}
	if err := s.machine.Replay(r.Records); err != nil {
		t.Fatalf("a decision doesn't fit its own image: %v", err)
	}
	if len(r.Records) > 0 {
		s.commit(t, r.Records)
	}
	for _, reply := range r.Replies {
		if reply.Ticket != 7 {
			t.Fatalf("ticket %d", reply.Ticket)
		}
		out.WriteString(answer(reply))
	}
	return out.String()
}

func (s *script) commit(t *testing.T, events []Event) {
	t.Helper()
	s.index += 2
	data := Batch{Epoch: 4, Base: s.image.LastIndex(), Events: events}.Encode(nil)
	next, _, err := s.image.ApplyBatch(s.index, 4, data)
	if err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	if err := next.WriteSnapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	again, err := ReadSnapshot(bytes.NewReader(snapshot.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := again.WriteSnapshot(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshot.Bytes(), second.Bytes()) || again.NumPartitions() != next.NumPartitions() {
		t.Fatalf("a snapshot changes the image")
	}
	s.image = again
	s.machine.Committed(again)
}

func (s *script) advance(t *testing.T, by string) string {
	end := s.now.Add(duration(t, by))
	var out strings.Builder
	for range 100 {
		key := s.nextTimer(end)
		if key == "" {
			break
		}
		if at := s.timers[key]; at.After(s.now) {
			s.now = at
		}
		delete(s.timers, key)
		out.WriteString(s.take(t, s.machine.Step(s.now, Input{Timer: key})))
	}
	s.now = end
	return out.String()
}

func (s *script) nextTimer(end time.Time) string {
	first := ""
	for key, at := range s.timers {
		if !at.After(end) && (first == "" || at.Before(s.timers[first])) {
			first = key
		}
	}
	return first
}

func (s *script) command(t *testing.T, d *datadriven.TestData) Command {
	id, epoch := int32(intArg(t, d, "id", 1)), int64(intArg(t, d, "epoch", 1))
	switch d.Cmd {
	case "create-cluster":
		return CreateCluster{ID: [16]byte{1, 2, 3}}
	case "register":
		return scriptRegister(t, d)
	case "unfence":
		return UnfenceBroker{ID: id, Epoch: epoch}
	case "fence":
		return FenceBroker{ID: id, Epoch: epoch}
	case "replicas-damaged":
		c := ReplicasDamaged{BrokerID: id, BrokerEpoch: epoch}
		for _, line := range lines(d.Input) {
			w := words(line)
			topic, _ := s.image.Topic(w.name)
			c.Partitions = append(c.Partitions, kafkaproto.TopicPartition{Topic: topic.ID, Partition: kafkaproto.PartitionID(w.number(t, "partition", 0))})
		}
		return c
	case "heartbeat":
		return BrokerHeartbeat{ID: id, Epoch: epoch, WantFenced: d.HasArg("want-fenced"), WantShutdown: d.HasArg("want-shutdown")}
	case "unregister":
		return UnregisterBroker{ID: id}
	case "producer-ids":
		return AllocateProducerIDs{BrokerID: id, BrokerEpoch: epoch}
	case "create-topics":
		return s.createTopics(t, d)
	case "create-partitions":
		return scriptPartitions(t, d)
	case "delete-topics":
		return s.deleteTopics(t, d)
	case "alter-partition":
		return s.alterPartition(t, d)
	case "elect-leaders":
		return scriptElections(t, d)
	case "change-configs":
		return scriptConfigs(t, d)
	case "update-features":
		return scriptFeatures(t, d)
	}
	return nil
}

func (s *script) createTopics(t *testing.T, d *datadriven.TestData) Command {
	c := CreateTopics{ValidateOnly: d.HasArg("validate-only"), Seed: uint64(intArg(t, d, "seed", 1))}
	for _, line := range lines(d.Input) {
		w := words(line)
		topic := CreateTopic{Name: w.name, NumPartitions: int32(w.number(t, "partitions", -1)), ReplicationFactor: int16(w.number(t, "factor", -1))}
		for i, list := range strings.Split(w.args["assign"], "/") {
			if w.args["assign"] != "" {
				topic.Assignments = append(topic.Assignments, Assignment{kafkaproto.PartitionID(i), ints(t, list)})
			}
		}
		topic.Configs = w.rest("partitions", "factor", "assign", "id")
		c.Topics = append(c.Topics, topic)
		s.ids++
		c.IDs = append(c.IDs, kafkaproto.TopicID{s.ids})
	}
	return c
}

func scriptPartitions(t *testing.T, d *datadriven.TestData) Command {
	c := CreatePartitions{ValidateOnly: d.HasArg("validate-only"), Seed: uint64(intArg(t, d, "seed", 1))}
	for _, line := range lines(d.Input) {
		w := words(line)
		topic := CreatePartitionsTopic{Name: w.name, Count: int32(w.number(t, "count", 0))}
		if text, ok := w.args["assign"]; ok {
			for _, list := range strings.Split(text, "/") {
				topic.Assignments = append(topic.Assignments, ints(t, list))
			}
		}
		c.Topics = append(c.Topics, topic)
	}
	return c
}

func (s *script) deleteTopics(t *testing.T, d *datadriven.TestData) Command {
	var c DeleteTopics
	for _, line := range lines(d.Input) {
		w := words(line)
		row := DeleteTopic{Name: w.name}
		if w.name == "-" {
			row.Name = ""
		}
		if n := w.number(t, "id", 0); n > 0 {
			row.ID = kafkaproto.TopicID{byte(n)}
		}
		c.Topics = append(c.Topics, row)
	}
	return c
}

func (s *script) alterPartition(t *testing.T, d *datadriven.TestData) Command {
	c := AlterPartition{BrokerID: int32(intArg(t, d, "id", 1)), BrokerEpoch: int64(intArg(t, d, "epoch", 1))}
	for _, line := range lines(d.Input) {
		w := words(line)
		row := AlterPartitionRow{LeaderEpoch: kafkaproto.LeaderEpoch(w.number(t, "leader-epoch", 0)), PartitionEpoch: int32(w.number(t, "partition-epoch", 0))}
		row.ID.Partition = kafkaproto.PartitionID(w.number(t, "partition", 0))
		if topic, ok := s.image.Topic(w.name); ok {
			row.ID.Topic = topic.ID
		}
		for _, id := range ints(t, w.args["isr"]) {
			row.ISR = append(row.ISR, ISRMember{id, int64(w.number(t, fmt.Sprintf("epoch%d", id), -1))})
		}
		c.Partitions = append(c.Partitions, row)
	}
	return c
}

func scriptRegister(t *testing.T, d *datadriven.TestData) Command {
	c := RegisterBroker{ID: int32(intArg(t, d, "id", 1)), Clean: !d.HasArg("unclean")}
	c.Incarnation[0] = byte(intArg(t, d, "incarnation", int(c.ID)))
	c.Directories = [][16]byte{{byte(intArg(t, d, "directory", int(c.ID)))}}
	if rack := strArg(d, "rack"); rack != "" {
		c.Rack = &rack
	}
	c.Listeners = []Listener{{"CLIENT", "PLAINTEXT", "host" + strconv.Itoa(int(c.ID)), 9092}}
	return c
}

func scriptConfigs(t *testing.T, d *datadriven.TestData) Command {
	c := ChangeConfigs{ValidateOnly: d.HasArg("validate-only")}
	for _, line := range lines(d.Input) {
		w := words(line)
		r := ChangeConfig{Kind: ConfigKind(w.number(t, "kind", int(TopicConfig))), Name: w.name, Full: w.number(t, "full", 0) == 1}
		if r.Name == "-" {
			r.Name = ""
		}
		r.Append, r.Subtract = oneOf(w.args["append"]), oneOf(w.args["subtract"])
		r.Set = w.rest("kind", "full", "append", "subtract")
		c.Resources = append(c.Resources, r)
	}
	return c
}

// oneOf is the map of one "key:value".
func oneOf(text string) map[string]string {
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		return nil
	}
	return map[string]string{key: value}
}

// scriptElections reads "topic partitions=0,1"; no line at all is all partitions.
func scriptElections(t *testing.T, d *datadriven.TestData) Command {
	c := ElectLeaders{Unclean: d.HasArg("unclean")}
	for _, line := range lines(d.Input) {
		w := words(line)
		topic := ElectLeadersTopic{Name: w.name}
		for _, n := range ints(t, w.args["partitions"]) {
			topic.Partitions = append(topic.Partitions, kafkaproto.PartitionID(n))
		}
		c.Topics = append(c.Topics, topic)
	}
	return c
}

func scriptFeatures(t *testing.T, d *datadriven.TestData) Command {
	c := UpdateFeatures{ValidateOnly: d.HasArg("validate-only")}
	for _, line := range lines(d.Input) {
		w := words(line)
		c.Updates = append(c.Updates, FeatureUpdate{w.name, int16(w.number(t, "level", 0)), w.number(t, "downgrade", 0) == 1})
	}
	return c
}

func scriptDefaults(t *testing.T, d *datadriven.TestData) Defaults {
	defaults := Defaults{
		NumPartitions: int32(intArg(t, d, "partitions", 1)), ReplicationFactor: int16(intArg(t, d, "factor", 1)),
		MinInSyncReplicas: intArg(t, d, "min-isr", 1), UncleanElection: d.HasArg("unclean"),
		RebalanceInterval: time.Duration(intArg(t, d, "rebalance", 0)) * time.Second,
	}
	if n := intArg(t, d, "internal", 0); n > 0 {
		defaults.InternalReplicas = map[string]int16{"__consumer_offsets": int16(n)}
	}
	return defaults
}

func answer(r machine.Reply) string {
	if r.Err != nil {
		return fmt.Sprintln("=>", r.Err)
	}
	var out strings.Builder
	switch v := r.Value.(type) {
	case nil:
		return "=> ok\n"
	case []CreateTopicAnswer:
		for _, a := range v {
			fmt.Fprintf(&out, "=> %s: %s\n", a.Name, orElse(a.Err, fmt.Sprintf("partitions=%d factor=%d %v", a.NumPartitions, a.ReplicationFactor, a.Configs)))
		}
	case []CreatePartitionsAnswer:
		for _, a := range v {
			fmt.Fprintf(&out, "=> %s: %s\n", a.Name, orElse(a.Err, "ok"))
		}
	case []DeleteTopicAnswer:
		for _, a := range v {
			fmt.Fprintf(&out, "=> %q %d: %s\n", a.Name, a.ID[0], orElse(a.Err, "ok"))
		}
	case []ElectLeadersAnswer:
		for _, a := range v {
			fmt.Fprintf(&out, "=> %s:", a.Name)
			for _, p := range a.Partitions {
				fmt.Fprintf(&out, " %d=%s", p.Partition, orElse(p.Err, "ok"))
			}
			out.WriteString("\n")
		}
	case []ChangeConfigsAnswer:
		for _, a := range v {
			fmt.Fprintf(&out, "=> %d %q: %s\n", a.Resource.Kind, a.Resource.Name, orElse(a.Err, "ok"))
		}
	case []AlterPartitionAnswer:
		for _, a := range v {
			text := ""
			if a.Partition != nil {
				text = partition(a.Partition)
			}
			fmt.Fprintf(&out, "=> %d-%d: %s\n", a.ID.Topic[0], a.ID.Partition, orElse(a.Err, text))
		}
	default:
		fmt.Fprintf(&out, "=> %+v\n", v)
	}
	return out.String()
}

func orElse(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

func describe(s *script, e Event) string {
	switch e := e.(type) {
	case *TopicCreated:
		return fmt.Sprintf("topic %d created: %s", e.ID[0], e.Name)
	case *TopicDeleted:
		return fmt.Sprintf("topic %d deleted", e.ID[0])
	case *PartitionChanged:
		return fmt.Sprintf("partition %d-%d: %s", e.Topic[0], e.Partition.ID, partition(&e.Partition))
	case *BrokerRegistered:
		return fmt.Sprintf("broker %d registered: epoch=%d fenced=%v", e.Broker.ID, e.Broker.Epoch, e.Broker.Fenced)
	case *BrokerChanged:
		return fmt.Sprintf("broker %d changed: epoch=%d fenced=%v shutting-down=%v", e.ID, e.Epoch, e.Fenced, e.ShuttingDown)
	case *ConfigChanged:
		if e.Value == nil {
			return fmt.Sprintf("config %d %q: %s removed", e.Resource.Kind, e.Resource.Name, e.Key)
		}
		return fmt.Sprintf("config %d %q: %s=%s", e.Resource.Kind, e.Resource.Name, e.Key, *e.Value)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", e, e), "*controller.")
}

func partition(p *Partition) string {
	out := fmt.Sprintf("leader=%d epoch=%d/%d replicas=%v isr=%v", p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR)
	for name, list := range map[string][]int32{"elr": p.ELR} {
		if len(list) > 0 {
			out += fmt.Sprintf(" %s=%v", name, list)
		}
	}
	if len(p.LastKnownELR) > 0 {
		out += fmt.Sprintf(" last-known=%v", p.LastKnownELR)
	}
	return out
}

func (s *script) topics() string {
	var out strings.Builder
	for t := range s.image.Topics() {
		fmt.Fprintf(&out, "%s id=%d internal=%v\n", t.Name, t.ID[0], t.Internal)
		for _, p := range t.Partitions {
			fmt.Fprintf(&out, "  %d: %s\n", p.ID, partition(p))
		}
	}
	return out.String()
}

func (s *script) brokers() string {
	var out strings.Builder
	for b := range s.image.Brokers() {
		fmt.Fprintf(&out, "%d: epoch=%d fenced=%v shutting-down=%v %s:%d\n", b.ID, b.Epoch, b.Fenced, b.ShuttingDown, b.Listeners[0].Host, b.Listeners[0].Port)
	}
	return out.String()
}

// line is "name key=value key=value"; a key with nothing behind the '=' stands for null.
type line struct {
	name string
	args map[string]string
}

func lines(input string) []string {
	if strings.TrimSpace(input) == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(input), "\n")
}

func words(text string) line {
	f := strings.Fields(text)
	l := line{name: strings.Trim(f[0], `"`), args: map[string]string{}}
	if l.name == "long" {
		l.name = strings.Repeat("x", 250)
	}
	for _, w := range f[1:] {
		key, value, _ := strings.Cut(w, "=")
		l.args[key] = value
	}
	return l
}

func (l line) number(t *testing.T, key string, otherwise int) int {
	t.Helper()
	text, ok := l.args[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rest is the keys that are not named: configs.
func (l line) rest(known ...string) map[string]*string {
	var m map[string]*string
	for _, key := range slices.Sorted(maps.Keys(l.args)) {
		if slices.Contains(known, key) {
			continue
		}
		if m == nil {
			m = map[string]*string{}
		}
		m[key] = nil
		if value := l.args[key]; value != "" {
			m[key] = &value
		}
	}
	return m
}

func ints(t *testing.T, list string) []int32 {
	t.Helper()
	out := []int32{}
	for _, w := range strings.Split(list, ",") {
		if w == "" {
			continue
		}
		n, err := strconv.Atoi(w)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int32(n))
	}
	return out
}

func intArg(t *testing.T, d *datadriven.TestData, key string, otherwise int) int {
	t.Helper()
	if d.HasArg(key) {
		d.ScanArgs(t, key, &otherwise)
	}
	return otherwise
}

func strArg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	by, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return by
}
