package controller

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// bigImage has topics of some partitions each, on brokers 0 to n-1, three replicas of each.
func bigImage(t testing.TB, brokers, topics, partitions int) *Image {
	t.Helper()
	racks := make([]string, brokers)
	for i := range racks {
		racks[i] = fmt.Sprint(i % 3)
	}
	img := brokersIn(t, racks...)
	place := newRing(img, 1)
	for n := range topics {
		id := kafkaproto.TopicID{1, byte(n >> 16), byte(n >> 8), byte(n)}
		events := []Event{&TopicCreated{ID: id, Name: fmt.Sprintf("topic-%06d", n)}}
		replicas, err := place.place(partitions, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range replicas {
			events = append(events, &PartitionChanged{Topic: id, Partition: newPartition(img, kafkaproto.PartitionID(i), r)})
		}
		if img, _, err = img.Replay(events); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func TestAnImageNeverChanges(t *testing.T) {
	old := bigImage(t, 3, 2, 4)
	a, _ := old.Topic("topic-000000")
	before := fmt.Sprint(*a.Partitions[1], old.NumTopics(), old.NumPartitions())
	p := *a.Partitions[1]
	p.Leader, p.LeaderEpoch = 99, 99
	value := "1"
	next, changes, err := old.Replay([]Event{
		&PartitionChanged{Topic: a.ID, Partition: p},
		&PartitionChanged{Topic: a.ID, Partition: Partition{ID: 4}},
		&ConfigChanged{Resource: ConfigResource{TopicConfig, a.Name}, Key: "k", Value: &value},
		&BrokerChanged{ID: 0, Epoch: 1, Fenced: true},
		&FeatureChanged{Name: "f", Level: 1, Epoch: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(*a.Partitions[1], old.NumTopics(), old.NumPartitions()); after != before {
		t.Errorf("the old image changed from %s to %s", before, after)
	}
	if b, _ := old.Broker(0); b.Fenced || len(old.Config(TopicConfig, a.Name)) != 0 || len(old.Features()) != 0 {
		t.Error("the old image changed")
	}
	b, _ := next.Topic("topic-000000")
	byID, _ := next.TopicByID(a.ID)
	if b != byID || b.Partitions[1].Leader != 99 || next.NumPartitions() != old.NumPartitions()+1 {
		t.Errorf("the new image is wrong: %+v", b)
	}
	if other, _ := next.Topic("topic-000001"); other != topicOf(old, "topic-000001") {
		t.Error("what did not change is not shared")
	}
	if fmt.Sprint(changes.Topics, changes.Brokers, len(changes.Configs), changes.Features) != fmt.Sprint([]kafkaproto.TopicID{a.ID}, []int32{0}, 1, true) {
		t.Errorf("changes %+v", changes)
	}
}

func topicOf(img *Image, name string) *Topic {
	t, _ := img.Topic(name)
	return t
}

// BenchmarkOneChange: the cost of a change is what changed, whatever the size of the image.
func BenchmarkOneChange(b *testing.B) {
	for _, topics := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			img := bigImage(b, 9, topics, 10)
			t := topicOf(img, "topic-000050")
			p := *t.Partitions[3]
			b.ReportAllocs()
			for b.Loop() {
				p.PartitionEpoch++
				next, _, err := img.Replay([]Event{&PartitionChanged{Topic: t.ID, Partition: p}})
				if err != nil {
					b.Fatal(err)
				}
				img = next
			}
		})
	}
}

// BenchmarkFencing: one broker of a cluster dies; leads is how many partitions have a replica on it.
func BenchmarkFencing(b *testing.B) {
	for _, c := range []struct{ brokers, topics, partitions int }{{3, 1000, 10}, {1000, 10_000, 100}} {
		b.Run(fmt.Sprintf("brokers=%d/partitions=%d", c.brokers, c.topics*c.partitions), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			img := bigImage(b, c.brokers, c.topics, c.partitions)
			runtime.GC()
			runtime.ReadMemStats(&after)
			m := NewMachine(img, Defaults{})
			changed := 0
			for b.Loop() {
				r := m.Step(time.Time{}, Input{Command: BrokerHeartbeat{ID: 1, Epoch: 2, WantFenced: true}})
				data := Batch{Events: r.Records}.Encode(nil)
				if _, _, err := img.ApplyBatch(1, 0, data); err != nil {
					b.Fatal(err)
				}
				changed = len(r.Records)
			}
			b.ReportMetric(float64(changed), "events")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
		})
	}
}
