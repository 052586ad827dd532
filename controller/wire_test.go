package controller

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// exchanges has every kind of command with an answer to it, no field at its zero value where that is possible.
var exchanges = []struct {
	command Command
	answer  any
}{
	{CreateCluster{ID: [16]byte{1}}, "AQIDAAAAAAAAAAAAAAAAAA"},
	{TakeOver{}, nil},
	{RegisterBroker{ID: 3, Incarnation: [16]byte{4}, Rack: ptr("r"), Listeners: []Listener{{"A", "SSL", "h", 1}}, Directories: [][16]byte{{5}}, Clean: true},
		RegisterBrokerAnswer{Epoch: 1 << 40}},
	{UnfenceBroker{ID: 3, Epoch: 4}, nil},
	{FenceBroker{ID: 3, Epoch: 4}, nil},
	{ReplicasDamaged{BrokerID: 3, BrokerEpoch: 4, Partitions: []kafkaproto.TopicPartition{{Topic: kafkaproto.TopicID{1}, Partition: 2}}}, nil},
	{BrokerHeartbeat{ID: 3, Epoch: 4, WantFenced: true, WantShutdown: true}, BrokerHeartbeatAnswer{Fenced: true, ShutdownAllowed: true}},
	{UnregisterBroker{ID: 300}, nil},
	{CreateTopics{Topics: []CreateTopic{
		{Name: "a", NumPartitions: -1, ReplicationFactor: 3, Configs: map[string]*string{"k": ptr("v"), "n": nil}},
		{Name: "b", Assignments: []Assignment{{0, []int32{1, 2}}, {1, []int32{2, 1}}}},
	}, ValidateOnly: true, IDs: []kafkaproto.TopicID{{1}, {2}}, Seed: 1 << 63}, []CreateTopicAnswer{
		{Name: "a", ID: kafkaproto.TopicID{1}, NumPartitions: 2, ReplicationFactor: 3, Configs: map[string]string{"k": "v"}},
		{Name: "b", Err: kafkaproto.ErrTopicAlreadyExists.With("Topic 'b' already exists.")},
	}},
	{DeleteTopics{Topics: []DeleteTopic{{Name: "a"}, {ID: kafkaproto.TopicID{7}}}}, []DeleteTopicAnswer{
		{Name: "a", ID: kafkaproto.TopicID{1}}, {Err: kafkaproto.ErrUnknownTopicID}}},
	{CreatePartitions{Topics: []CreatePartitionsTopic{{Name: "a", Count: 4, Assignments: [][]int32{{1}, {2}}}, {Name: "b", Assignments: [][]int32{}}, {Name: "c"}},
		ValidateOnly: true, Seed: 9}, []CreatePartitionsAnswer{{Name: "a"}, {Name: "b", Err: kafkaproto.ErrInvalidPartitions}}},
	{AllocateProducerIDs{BrokerID: 1, BrokerEpoch: 2}, AllocateProducerIDsAnswer{First: 1 << 50, Count: 1000}},
	{ChangeConfigs{Resources: []ChangeConfig{{Kind: TopicConfig, Name: "t", Set: map[string]*string{"a": nil, "b": ptr("")}, Append: map[string]string{"c": "d"}, Subtract: map[string]string{"e": "f"}, Full: true}}, ValidateOnly: true},
		[]ChangeConfigsAnswer{{ConfigResource{TopicConfig, "t"}, kafkaproto.ErrInvalidConfig.With("no")}}},
	{AlterPartition{BrokerID: 1, BrokerEpoch: 2, Partitions: []AlterPartitionRow{{ID: kafkaproto.TopicPartition{Topic: kafkaproto.TopicID{1}, Partition: 3}, LeaderEpoch: 4, PartitionEpoch: 5, ISR: []ISRMember{{1, -1}, {2, 7}}}}},
		[]AlterPartitionAnswer{
			{ID: kafkaproto.TopicPartition{Partition: 1}, Partition: &Partition{ID: 1, Replicas: []int32{1, 2}, ISR: []int32{1}, ELR: []int32{2}, Leader: 1, LeaderEpoch: 4, PartitionEpoch: 6}},
			{Err: kafkaproto.ErrFencedLeaderEpoch}}},
	{UpdateFeatures{Updates: []FeatureUpdate{{"f", 1, true}}, ValidateOnly: true}, nil},
	{ElectLeaders{Unclean: true, Topics: []ElectLeadersTopic{{"t", []kafkaproto.PartitionID{0, 5}}}},
		[]ElectLeadersAnswer{{"t", []ElectedLeader{{0, nil}, {5, errNotNeeded}}}}},
	{ElectLeaders{Topics: []ElectLeadersTopic{}}, []ElectLeadersAnswer(nil)},
	{ElectLeaders{}, []ElectLeadersAnswer(nil)},
}

func TestCommandsAndAnswersCrossTheWire(t *testing.T) {
	for _, x := range exchanges {
		data, err := EncodeCommand([]byte("x"), x.command)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeCommand(data[1:])
		if err != nil || !reflect.DeepEqual(back, x.command) {
			t.Errorf("%#v came back as %#v, %v", x.command, back, err)
		}
		for cut := 1; cut < len(data); cut++ {
			if _, err := DecodeCommand(data[1:cut]); !errors.Is(err, kafkaproto.ErrInvalidRequest) {
				t.Fatalf("%T cut to %d of %d bytes: %v", x.command, cut, len(data), err)
			}
		}
		answer, err := DecodeAnswer(x.command, EncodeAnswer(nil, x.command, x.answer))
		if err != nil || !sameText(answer, x.answer) {
			t.Errorf("%#v came back as %#v, %v", x.answer, answer, err)
		}
	}
}

// sameText compares answers with the errors in them as their text, since what they wrap does not cross.
func sameText(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != reflect.Slice || x.Type() != y.Type() || x.Len() != y.Len() {
		return reflect.DeepEqual(a, b)
	}
	for i := range x.Len() {
		p, q := x.Index(i), y.Index(i)
		for f := range p.NumField() {
			left, right := p.Field(f).Interface(), q.Field(f).Interface()
			e1, _ := left.(error)
			e2, _ := right.(error)
			if e1 != nil && e2 != nil {
				if e1.Error() != e2.Error() || kafkaproto.Code(e1) != kafkaproto.Code(e2) {
					return false
				}
			} else if p.Field(f).Kind() == reflect.Slice && p.Field(f).Type().Elem().Kind() == reflect.Struct {
				if !sameText(left, right) {
					return false
				}
			} else if !reflect.DeepEqual(left, right) {
				return false
			}
		}
	}
	return true
}

// Whoever adds a command must give it an encoding, or it works on the active controller only.
func TestEveryCommandHasAnEncoding(t *testing.T) {
	covered := map[string]bool{}
	for _, x := range exchanges {
		covered[reflect.TypeOf(x.command).Name()] = true
	}
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") || strings.HasSuffix(name.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != "command" || f.Recv == nil {
				continue
			}
			found++
			if id, _ := f.Recv.List[0].Type.(*ast.Ident); id == nil || !covered[id.Name] {
				t.Errorf("%s: a command that is not in wires or not in exchanges", name.Name())
			}
		}
	}
	if found != len(wires)-1 {
		t.Errorf("%d commands, %d encodings", found, len(wires)-1)
	}
}

func TestCommandOfANewerVersionIsRefusedByItsName(t *testing.T) {
	for _, data := range [][]byte{{byte(len(wires)), 0}, {1, wireVersion + 1}, {0, 0}} {
		if _, err := DecodeCommand(data); !errors.Is(err, kafkaproto.ErrUnsupportedVersion) {
			t.Errorf("%v: %v", data, err)
		}
	}
}

func TestErrorsCrossWithCodeAndMessage(t *testing.T) {
	for _, err := range []error{nil, kafkaproto.ErrNotController, kafkaproto.ErrPolicyViolation.With("too %s", "much"), errors.New("secret")} {
		back, bad := DecodeError(EncodeError(nil, err))
		if bad != nil || kafkaproto.Code(back) != kafkaproto.Code(err) || !reflect.DeepEqual(kafkaproto.Message(back), kafkaproto.Message(err)) {
			t.Errorf("%v came back as %v, %v", err, back, bad)
		}
	}
}

func TestQuorumStateCrossesTheWire(t *testing.T) {
	s := QuorumState{LeaderID: 1, LeaderEpoch: 2, HighWatermark: 3,
		Voters:    []QuorumMember{{ID: 1, DirectoryID: [16]byte{2}, Address: "h:1", LogEndOffset: 4, LastFetch: time.UnixMilli(5), LastCaughtUp: time.UnixMilli(6)}},
		Observers: []QuorumMember{{ID: 9, LogEndOffset: -1}}}
	back, err := DecodeQuorumState(EncodeQuorumState(nil, s))
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v, %v", back, err)
	}
}

// FuzzDecodeCommand: whatever comes is read within bounds or refused, and what is read writes back the same.
func FuzzDecodeCommand(f *testing.F) {
	for _, x := range exchanges {
		data, _ := EncodeCommand(nil, x.command)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCommand(data)
		if err != nil {
			return
		}
		again, err := EncodeCommand(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeCommand(again); err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%#v came back as %#v, %v", c, back, err)
		}
	})
}

// FuzzDecodeAnswer: the same for answers, of the kind that the first byte picks, and for states of the quorum.
func FuzzDecodeAnswer(f *testing.F) {
	for i, x := range exchanges {
		f.Add(uint(i), EncodeAnswer(nil, x.command, x.answer))
	}
	f.Fuzz(func(t *testing.T, pick uint, data []byte) {
		to := exchanges[pick%uint(len(exchanges))].command
		if a, err := DecodeAnswer(to, data); err == nil {
			if back, err := DecodeAnswer(to, EncodeAnswer(nil, to, a)); err != nil || !sameText(back, a) {
				t.Fatalf("%#v came back as %#v, %v", a, back, err)
			}
		}
		if s, err := DecodeQuorumState(data); err == nil {
			if back, err := DecodeQuorumState(EncodeQuorumState(nil, s)); err != nil || !reflect.DeepEqual(back, s) {
				t.Fatalf("%+v came back as %+v, %v", s, back, err)
			}
		}
	})
}
