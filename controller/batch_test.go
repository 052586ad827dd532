package controller

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

func ptr[T any](v T) *T { return &v }

// goldenEvents has every kind of event once, with the bytes that it has had since its version was released. A test that
// fails here says that old logs can't be read any more: add a version instead.
var goldenEvents = []struct {
	event Event
	bytes string
}{
	{&ClusterCreated{ClusterID: "AQIDAAAAAAAAAAAAAAAAAA"}, "0100171641514944414141414141414141414141414141414141"},
	{&FeatureChanged{Name: "kraft.version", Level: 1, Epoch: 3}, "0200100d6b726166742e76657273696f6e0206"},
	{&TopicCreated{ID: kafkaproto.TopicID{1, 2, 15: 16}, Name: "orders"}, "03001701020000000000000000000000000010066f7264657273"},
	{&PartitionChanged{Topic: kafkaproto.TopicID{1, 2, 15: 16}, Partition: Partition{
		ID: 5, Replicas: []int32{1, 2, 300}, ISR: []int32{1, 2, 300}, ELR: []int32{4}, LastKnownELR: []int32{5},
		Adding: []int32{6}, Removing: []int32{7, 8}, Leader: NoLeader, LeaderEpoch: 9, PartitionEpoch: 70000,
	}}, "040029010200000000000000000000000000100a0112e0c508030204d804030204d8040108010a010c020e10"},
	{&TopicDeleted{ID: kafkaproto.TopicID{1, 2, 15: 16}}, "05001001020000000000000000000000000010"},
	{&BrokerRegistered{Broker: Broker{
		ID: 7, Epoch: 1 << 40, Incarnation: [16]byte{9}, Rack: ptr("r1"), Fenced: true, ShuttingDown: true,
		Listeners:   []Listener{{"CLIENT", "PLAINTEXT", "host", 9092}, {"TLS", "SSL", "host", 9094}},
		Directories: [][16]byte{{1}, {2}},
	}}, "0600680e808080808040090000000000000000000000000000000102723101010206434c49454e5409504c41494e5445585404686f7374888e0103544c530353534c04686f73748c8e01020100000000000000000000000000000002000000000000000000000000000000"},
	{&BrokerRegistered{Broker: Broker{ID: 1}}, "0600170200000000000000000000000000000000000000000000"},
	{&BrokerChanged{ID: 7, Epoch: 8, Fenced: true}, "0700040e100100"},
	{&BrokerUnregistered{ID: -1, Epoch: 8}, "0800020110"},
	{&ConfigChanged{Resource: ConfigResource{TopicConfig, "orders"}, Key: "retention.ms", Value: ptr("-1")}, "09001904066f72646572730c726574656e74696f6e2e6d7301022d31"},
	{&ConfigChanged{Resource: ConfigResource{BrokerConfig, ""}, Key: "k"}, "0900050800016b00"},
	{&ProducerIDsAllocated{BrokerID: 3, BrokerEpoch: 4, Next: 1000}, "0a00040608d00f"},
}

func TestEveryEventHasTheBytesItAlwaysHad(t *testing.T) {
	kinds := map[eventKind]bool{}
	for _, g := range goldenEvents {
		kinds[g.event.kind()] = true
		got := Batch{Epoch: 1, Base: 2, Events: []Event{g.event}}.Encode(nil)
		if text := hex.EncodeToString(got[4:]); text != g.bytes {
			t.Errorf("%T%+v\n got %s\nwant %s", g.event, g.event, text, g.bytes)
		}
		if head := hex.EncodeToString(got[:4]); head != "01010201" {
			t.Errorf("batch starts with %s", head)
		}
		back, err := DecodeBatch(got)
		if err != nil || !reflect.DeepEqual(back.Events, []Event{g.event}) || back.Epoch != 1 || back.Base != 2 {
			t.Errorf("%T came back as %+v, %v", g.event, back, err)
		}
	}
	for k := eventKind(1); newEvent(k) != nil; k++ {
		if !kinds[k] {
			t.Errorf("kind %d is not in the table", k)
		}
	}
}

// What is encoded may be part of an image, which others read at the same time (for -race to see).
func TestEncodingOnlyReads(t *testing.T) {
	var encoding sync.WaitGroup
	for range 2 {
		encoding.Go(func() {
			for _, g := range goldenEvents {
				Batch{Epoch: 1, Base: 2, Events: []Event{g.event}}.Encode(nil)
			}
		})
	}
	encoding.Wait()
}

func TestBatchesOfANewerProgramAreRefused(t *testing.T) {
	good := Batch{Events: []Event{&TopicDeleted{}}}.Encode(nil)
	for name, change := range map[string]func([]byte){
		"format":  func(b []byte) { b[0] = 2 },
		"kind":    func(b []byte) { b[4] = 99 },
		"version": func(b []byte) { b[5] = 1 },
	} {
		bad := bytes.Clone(good)
		change(bad)
		if _, err := DecodeBatch(bad); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBatchCutAnywhereIsRefused(t *testing.T) {
	var b Batch
	for _, g := range goldenEvents {
		b.Events = append(b.Events, g.event)
	}
	whole := b.Encode(nil)
	for n := range whole {
		if _, err := DecodeBatch(whole[:n]); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := DecodeBatch(append(whole, 0)); !errors.Is(err, ErrUnreadable) {
		t.Errorf("one byte too many: %v", err)
	}
}

func TestOnlyABatchOfThisEpochOnThisImageApplies(t *testing.T) {
	img := NewImage()
	events := []Event{&ProducerIDsAllocated{Next: 1000}}
	apply := func(epoch, base, index, term uint64) error {
		next, _, err := img.ApplyBatch(index, term, Batch{Epoch: epoch, Base: base, Events: events}.Encode(nil))
		if err == nil {
			img = next
		}
		return err
	}
	if err := apply(3, 0, 10, 3); err != nil || img.LastIndex() != 10 {
		t.Fatalf("first: %v at %d", err, img.LastIndex())
	}
	for name, err := range map[string]error{
		"deposed leader's":     apply(3, 10, 11, 4),
		"on an older image":    apply(4, 0, 11, 4),
		"of the index between": apply(4, 9, 11, 4),
	} {
		if !errors.Is(err, ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := apply(4, 10, 15, 4); err != nil || img.LastIndex() != 15 {
		t.Errorf("next leader's: %v at %d", err, img.LastIndex())
	}
}

func TestEventsThatDoNotFitTheImageAreRefused(t *testing.T) {
	id := kafkaproto.TopicID{1}
	img, _, err := NewImage().Replay([]Event{
		&ClusterCreated{"c"}, &TopicCreated{id, "t"}, &PartitionChanged{Topic: id},
		&BrokerRegistered{Broker{ID: 1, Epoch: 5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, events := range map[string][]Event{
		"second cluster id":       {&ClusterCreated{"d"}},
		"same name":               {&TopicCreated{kafkaproto.TopicID{2}, "t"}},
		"same id":                 {&TopicCreated{id, "u"}},
		"no partition":            {&TopicCreated{kafkaproto.TopicID{2}, "u"}},
		"partition of no topic":   {&PartitionChanged{Topic: kafkaproto.TopicID{2}}},
		"gap in partitions":       {&PartitionChanged{Topic: id, Partition: Partition{ID: 2}}},
		"negative partition":      {&PartitionChanged{Topic: id, Partition: Partition{ID: -1}}},
		"delete of no topic":      {&TopicDeleted{kafkaproto.TopicID{2}}},
		"change of no broker":     {&BrokerChanged{ID: 2, Epoch: 5}},
		"change of an old broker": {&BrokerChanged{ID: 1, Epoch: 4}},
	} {
		if _, _, err := img.Replay(events); !errors.Is(err, ErrMisfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecodeBatch: no bytes make it panic, and what it reads it writes back the same way.
func FuzzDecodeBatch(f *testing.F) {
	for _, g := range goldenEvents {
		f.Add(Batch{Epoch: 1, Base: 2, Events: []Event{g.event}}.Encode(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		again, err := DecodeBatch(b.Encode(nil))
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v came back as %+v, %v", b, again, err)
		}
		_, _, _ = NewImage().ApplyBatch(1, b.Epoch, data)
	})
}

// FuzzReadSnapshot: no bytes make it panic.
func FuzzReadSnapshot(f *testing.F) {
	var events []Event
	for _, g := range goldenEvents[:2] {
		events = append(events, g.event)
	}
	img, _, err := NewImage().Replay(events)
	if err != nil {
		f.Fatal(err)
	}
	var buf bytes.Buffer
	if err := img.WriteSnapshot(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ReadSnapshot(bytes.NewReader(data))
	})
}
