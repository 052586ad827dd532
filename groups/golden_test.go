package groups

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// kafkaRecord is a line of a file in testdata with what Kafka wrote.
type kafkaRecord struct {
	offset int64
	p      machine.Producer
	marker bool
	r      machine.Record
}

func kafkaRecords(t testing.TB) []kafkaRecord {
	t.Helper()
	f, err := os.Open("testdata/kafka-4.3.1.records")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []kafkaRecord
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] == "#" {
			continue
		}
		k := kafkaRecord{offset: number(words[0]), p: machine.Producer{ID: number(words[1])}, marker: words[2] == "marker"}
		if !k.marker {
			k.r.Key = unhex(t, words[2])
		}
		if words[3] != "null" {
			k.r.Value = unhex(t, words[3])
		}
		out = append(out, k)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsAreWrittenAsKafkaWritesThem(t *testing.T) {
	m := New(Options{})
	groups, offsets, others := 0, 0, 0
	for _, k := range kafkaRecords(t) {
		if k.marker {
			m.ReplayMarker(k.offset, k.p, k.r.Value[len(k.r.Value)-1] == 1)
			continue
		}
		if err := m.Replay(k.offset, k.p, k.r); err != nil {
			t.Fatalf("record %d: %v", k.offset, err)
		}
		var got machine.Record
		switch version := k.r.Key[1]; {
		case version > groupKeyVersion:
			others++
			continue
		case version == groupKeyVersion:
			groups++
			got = rewrittenGroup(m, k.r)
		default:
			offsets++
			got = rewrittenOffset(t, m, k)
		}
		if !bytes.Equal(got.Key, k.r.Key) || !bytes.Equal(got.Value, k.r.Value) {
			t.Errorf("record %d:\nKafka wrote %x = %x\nwe write    %x = %x", k.offset, k.r.Key, k.r.Value, got.Key, got.Value)
		}
	}
	if groups < 5 || offsets < 5 || others < 5 {
		t.Fatalf("%d records of groups, %d of offsets, %d others", groups, offsets, others)
	}
}

// rewrittenGroup is the record that the machine would write of the group now.
func rewrittenGroup(m *Machine, r machine.Record) machine.Record {
	id := string(r.Key[4:])
	if r.Value == nil {
		return groupTombstone(id)
	}
	return groupRecord(m.groups[id], nil)
}

func rewrittenOffset(t *testing.T, m *Machine, k kafkaRecord) machine.Record {
	t.Helper()
	n := 4 + int(k.r.Key[3])
	group, topic, partition := string(k.r.Key[4:n]), string(k.r.Key[n+2:len(k.r.Key)-4]), kafkaproto.PartitionID(k.r.Key[len(k.r.Key)-1])
	if k.r.Value == nil {
		return offsetTombstone(group, topic, partition)
	}
	c, ok := m.groups[group].offset(topic, partition)
	if k.p.ID >= 0 {
		c, ok = m.txns[k.p.ID].offsets[offsetName{group, topic, partition}]
	}
	if !ok {
		t.Fatalf("record %d is not known", k.offset)
	}
	r, _ := appendOffset(nil, group, topic, partition, &c)
	return r
}

func TestAMachineMadeOfKafkasRecordsKnowsItsGroups(t *testing.T) {
	m := New(Options{})
	for _, k := range kafkaRecords(t) {
		if k.marker {
			m.ReplayMarker(k.offset, k.p, true)
		} else if err := m.Replay(k.offset, k.p, k.r); err != nil {
			t.Fatal(err)
		}
	}
	m.Loaded(scriptStart)
	var got []string
	for _, g := range m.listGroups(ListGroups{}) {
		got = append(got, fmt.Sprintf("%s:%s:%s", g.Group, g.State, showFetched(m.fetchOffsets(&OffsetFetch{Group: g.Group, All: true}))))
	}
	want := "dynamic:Empty:topic-a/0=42 epoch=3 metadata=metadata of it, topic-a/1=43 static:Stable:nothing " +
		"transactional:Empty:topic-a/1=46 epoch=7 metadata=in a transaction"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	d := m.describeGroup(DescribeGroup{Group: "static"})
	if len(d.Members) != 1 || *d.Members[0].InstanceID != "instance-1" || !bytes.Equal(d.Members[0].Assignment, []byte{0, 1, 2, 3}) {
		t.Errorf("static: %+v", d)
	}
	if !m.groups["static"].subscribes("topic-a") || m.groups["static"].subscribes("topic-b") {
		t.Error("the subscription was not understood")
	}
}

func TestRecordsThatCantBeReadAreErrors(t *testing.T) {
	offset := offsetTombstone("g", "t", 0).Key
	for name, r := range map[string]machine.Record{
		"no key":                   {Value: []byte{0, 1}},
		"a short key":              {Key: []byte{0}},
		"a negative version":       {Key: []byte{255, 255, 0}},
		"half an offset's key":     {Key: offset[:7]},
		"half a group's key":       {Key: groupKey("g")[:4]},
		"an offset of nothing":     {Key: offset, Value: []byte{}},
		"an offset of version 5":   {Key: offset, Value: []byte{0, 5, 0, 0}},
		"half an offset":           {Key: offset, Value: []byte{0, 3, 0, 0}},
		"a group of version 5":     {Key: groupKey("g"), Value: []byte{0, 5, 0, 0}},
		"a group of half a record": {Key: groupKey("g"), Value: []byte{0, 3, 0, 0}},
	} {
		if err := New(Options{}).Replay(1, machine.NoProducer, r); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

func TestGroupsAreOnKafkasPartitions(t *testing.T) {
	// What Kafka's Utils.abs(groupId.hashCode()) % 50 gives.
	for group, want := range map[string]int32{"": 0, "g": 3, "my-group": 12, "polygenelubricants": 0, "größe": 7, "\U0001F600": 49} {
		if got := PartitionFor(group, 50); got != want {
			t.Errorf("PartitionFor(%s) = %d, want %d", strconv.Quote(group), got, want)
		}
	}
	if got := PartitionFor("g", 0); got != 0 {
		t.Errorf("of no partitions: %d", got)
	}
}
