package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scenarioFlags make groups of tests fast: members that die are missed after a few seconds, and new groups start at once.
var scenarioFlags = []string{"--set", "group.min.session.timeout.ms=1000", "--set", "group.initial.rebalance.delay.ms=100"}

// TestEveryClientDoesItsEverydayWork runs the same scenario with every client of the table.
func TestEveryClientDoesItsEverydayWork(t *testing.T) {
	everydayWork(t, startBroker(t, scenarioFlags...), results.of)
	results.keep(t)
}

// TestEveryClientWorksOnThreeNodes runs it on a cluster of three: three replicas of everything, two of which must be in sync.
func TestEveryClientWorksOnThreeNodes(t *testing.T) {
	steps := &runs{all: map[string]*clientRun{}}
	everydayWork(t, startThree(t, scenarioFlags...), steps.of)
	for name, run := range steps.all {
		results.of(clientNamed(t, name)).sumUp(threeNodes, run)
	}
	results.keep(t)
}

// everydayWork runs the scenario with every client and notes its steps.
func everydayWork(t *testing.T, sys system, run func(client) *clientRun) {
	t.Run("client", func(t *testing.T) { // so that the brokers outlive the parallel tests
		for _, c := range allClients(t) {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				s := &scenario{t: t, sys: sys, client: c, admin: kadm.NewClient(openClient(t, sys)), run: run(c)}
				s.all()
			})
		}
	})
}

// scenario is one client's way through everything.
type scenario struct {
	t      *testing.T // of the client
	sys    system
	client client
	d      *driver
	admin  *kadm.Client // the test's own look at the broker
	run    *clientRun
}

func (s *scenario) all() {
	s.d = startDriver(s.t, s.sys, s.client)
	s.run.is(s.d)
	topic := s.topic("work")
	if !s.step("create topic", func(t *testing.T) { s.createTopic(t, topic) }, "create_topic") && !s.client.lacks("create_topic") {
		return // nothing else could work
	}
	s.probe("create_topic", s.newTopic(s.topic("probe"), 1, fields{}))
	if s.client.lacks("create_topic") {
		createTopic(s.t, s.sys, topic, len(codecs), "retention.ms", "7200000")
	}
	s.configs(topic)
	s.records(topic)
	s.times()
	s.groups()
	s.d.t = s.t
	s.d.quit()
}

func (s *scenario) topic(name string) string { return s.client.Name + "-" + name }

// step is a part of the scenario: a test of its own, and a cell of the README's table. A part that the client lacks is
// noted as such.
func (s *scenario) step(name string, f func(t *testing.T), needs ...string) bool {
	s.t.Helper()
	for _, need := range needs {
		if why, ok := s.client.Lacks[need]; ok {
			s.run.note(name, lacking+why)
			return false
		}
	}
	ok := s.t.Run(name, func(t *testing.T) {
		before := s.d.t
		s.d.t = t
		defer func() { s.d.t = before }()
		f(t)
	})
	if ok {
		s.run.note(name, works)
	} else {
		s.run.note(name, fails)
	}
	return ok
}

// probe asks for what the table says the client lacks: it has to say so.
func (s *scenario) probe(op string, req fields) {
	s.t.Helper()
	if !s.client.lacks(op) {
		return
	}
	if err := s.d.ask(op, req, nil); !errors.Is(err, errUnsupported) {
		s.t.Errorf("clients.json says that %s lacks %s; asked, it says %v", s.client.Name, op, err)
	}
}

// newTopic are the fields of create_topic.
func (s *scenario) newTopic(topic string, partitions int, configs fields) fields {
	return fields{"topic": topic, "partitions": partitions, "replicas": s.sys.replicas(), "configs": configs}
}

func (s *scenario) createTopic(t *testing.T, topic string) {
	s.d.must("create_topic", s.newTopic(topic, len(codecs), fields{"retention.ms": "7200000"}), nil)
	settle(t, s.sys, topic)
	listed, err := s.admin.ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(listed[topic].Partitions); n != len(codecs) {
		t.Errorf("%d partitions, want %d", n, len(codecs))
	}
	for _, p := range listed[topic].Partitions {
		if len(p.Replicas) != s.sys.replicas() {
			t.Errorf("partition %d has the replicas %d, want %d of them", p.Partition, p.Replicas, s.sys.replicas())
		}
	}
	if got := s.config(t, topic, "retention.ms"); got != "7200000" {
		t.Errorf("retention.ms is %q", got)
	}
	doomed := s.topic("doomed")
	s.d.must("create_topic", s.newTopic(doomed, 1, fields{}), nil)
	if err := s.d.ask("create_topic", s.newTopic(doomed, 1, fields{}), nil); err == nil {
		t.Error("a topic can be created twice")
	}
	s.d.must("delete_topic", fields{"topic": doomed}, nil)
	eventually(t, 10*time.Second, "the deleted topic goes", func() bool {
		listed, err := s.admin.ListTopics(t.Context())
		return err == nil && !listed.Has(doomed)
	})
}

// config is a topic's setting as the broker has it.
func (s *scenario) config(t *testing.T, topic, name string) string {
	t.Helper()
	described, err := s.admin.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	of, err := described.On(topic, nil)
	if err != nil || of.Err != nil {
		t.Fatal(err, of.Err)
	}
	for _, c := range of.Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	return ""
}

func (s *scenario) configs(topic string) {
	s.step("describe configs", func(t *testing.T) {
		var got struct{ Configs map[string]string }
		s.d.must("describe_config", fields{"topic": topic}, &got)
		for name, want := range map[string]string{"retention.ms": "7200000", "cleanup.policy": "delete", "max.message.bytes": "1048588"} {
			if got.Configs[name] != want {
				t.Errorf("%s is %q, want %q", name, got.Configs[name], want)
			}
		}
	}, "describe_config")
	s.probe("describe_config", fields{"topic": topic})
	s.step("alter configs", func(t *testing.T) {
		s.d.must("alter_config", fields{"topic": topic, "set": fields{"max.message.bytes": "2000000"}, "delete": []string{"retention.ms"}}, nil)
		for name, want := range map[string]string{"max.message.bytes": "2000000", "retention.ms": "604800000"} {
			eventually(t, 10*time.Second, name+" is altered", func() bool { return s.config(t, topic, name) == want })
		}
		if err := s.d.ask("alter_config", fields{"topic": topic, "set": fields{"retention.ms": "soon"}, "delete": []string{}}, nil); err == nil {
			t.Error("retention.ms can be set to soon")
		}
	}, "alter_config")
	s.probe("alter_config", fields{"topic": topic, "set": fields{}, "delete": []string{}})
}

// codecs are all compressions; each goes into the partition of its index.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// sentRecord is a record as drivers take and give them.
type sentRecord struct {
	Partition *int32         `json:"partition"`
	Offset    int64          `json:"offset"`
	Timestamp *int64         `json:"timestamp"`
	Key       []byte         `json:"key"`
	Value     []byte         `json:"value"`
	Headers   []headerFields `json:"headers"`
}

// samples are the records that each client sends with each codec.
func (s *scenario) samples(partition int) []sentRecord {
	p := int32(partition)
	at := func(ms int64) *int64 {
		if s.client.lacks("produce:timestamp") {
			return nil
		}
		return &ms
	}
	now := time.Now().UnixMilli()
	headers := []headerFields{{"trace", []byte("a b")}, {"trace", []byte("second")}, {"lang", []byte("grüße")}}
	if s.client.lacks("produce:headers") {
		headers = nil
	}
	records := []sentRecord{
		{Partition: &p, Timestamp: at(now - 60_000), Key: []byte("key"), Value: []byte("value"), Headers: headers},
		{Partition: &p, Timestamp: at(now - 59_000), Value: []byte("no key")},
		{Partition: &p, Timestamp: at(now - 58_000), Key: []byte{0xff, 0xfe, '\n', 1}, Value: []byte{0x80, '\n', 7}},
		{Partition: &p, Timestamp: at(now - 57_000), Key: []byte("big"), Value: bigText(900_000)},
	}
	if !s.client.lacks("produce:null-value") {
		records = append(records, sentRecord{Partition: &p, Timestamp: at(now - 56_000), Key: []byte("tombstone")})
	}
	return records
}

// bigText is text that every codec makes smaller.
func bigText(n int) []byte {
	var text bytes.Buffer
	for i := 0; text.Len() < n; i++ {
		fmt.Fprintf(&text, "line %d of a long message, %x; ", i, i*i*7919)
	}
	return text.Bytes()[:n]
}

// records produces with every codec and reads everything back, by the client and by the test's own.
func (s *scenario) records(topic string) {
	sent := map[int][]sentRecord{}
	for p, codec := range codecs {
		s.step("produce "+codec, func(t *testing.T) {
			sent[p] = s.samples(p)
			s.produce(t, topic, codec, nil, sent[p])
			s.checkProduced(t, topic, p, codec, sent[p])
		}, "produce:"+codec)
		if s.client.lacks("produce:" + codec) {
			err := s.d.ask("produce", fields{"topic": topic, "codec": codec, "idempotent": nil, "records": s.samples(p)[:1]}, nil)
			if !errors.Is(err, errUnsupported) {
				s.t.Errorf("clients.json says that %s has no %s; asked, it says %v", s.client.Name, codec, err)
			}
		}
	}
	s.step("produce idempotent", func(t *testing.T) {
		more := s.samples(0)
		s.produce(t, topic, "none", true, more)
		sent[0] = append(sent[0], more...)
		s.checkProduced(t, topic, 0, "none", sent[0])
		s.checkIdempotent(t, topic, int64(len(sent[0]))-1)
	}, "produce:idempotent")
	s.step("consume from start", func(t *testing.T) {
		for p, records := range sent {
			r, position := s.openReader(topic, p, "start")
			if position > 0 {
				t.Errorf("the start of partition %d is %d", p, position)
			}
			s.sameRecords(t, p, s.read(r, len(records), 20*time.Second), records)
			s.closeReader(r)
		}
	}, "open_reader")
	s.step("consume from offset", func(t *testing.T) {
		r, position := s.openReader(topic, 0, fields{"offset": 2})
		if position != 2 && position != -1 {
			t.Errorf("position %d, want 2", position)
		}
		s.sameRecords(t, 0, s.read(r, len(sent[0])-2, 20*time.Second), sent[0][2:])
		s.closeReader(r)
	}, "open_reader:offset")
	s.step("consume from end", func(t *testing.T) { s.readEnd(t, topic, sent[0]) }, "open_reader:end")
}

func (s *scenario) readEnd(t *testing.T, topic string, before []sentRecord) {
	r, position := s.openReader(topic, 0, "end")
	if want := int64(len(before)); position != want && position != -1 {
		t.Errorf("position %d, want %d", position, want)
	}
	if got := s.read(r, 1, 300*time.Millisecond); len(got) > 0 {
		t.Errorf("at the end there is offset %d", got[0].Offset)
	}
	s.ownProduce(t, &kgo.Record{Topic: topic, Partition: 0, Value: []byte("after the end")})
	got := s.read(r, 1, 20*time.Second)
	if len(got) != 1 || string(got[0].Value) != "after the end" {
		t.Errorf("behind the end: %d records", len(got))
	}
	s.closeReader(r)
}

func (s *scenario) produce(t *testing.T, topic, codec string, idempotent any, records []sentRecord) {
	t.Helper()
	var got struct{ Offsets [][2]int64 }
	first := s.end(t, topic, int(*records[0].Partition))
	s.d.must("produce", fields{"topic": topic, "codec": codec, "idempotent": idempotent, "records": records}, &got)
	if got.Offsets == nil {
		return
	}
	for i, at := range got.Offsets {
		if want := [2]int64{int64(*records[i].Partition), first + int64(i)}; at != want {
			t.Errorf("record %d is acknowledged at %v, want %v", i, at, want)
		}
	}
	if len(got.Offsets) != len(records) {
		t.Errorf("%d offsets for %d records", len(got.Offsets), len(records))
	}
}

func (s *scenario) end(t *testing.T, topic string, p int) int64 {
	t.Helper()
	return endOffsets(t, s.sys, topic, p+1)[p]
}

// checkProduced reads with the test's own client what has arrived, and how it is compressed: the one long text tells, since
// some libraries leave alone what would not become smaller.
func (s *scenario) checkProduced(t *testing.T, topic string, p int, codec string, want []sentRecord) {
	t.Helper()
	ends := make([]int64, p+1)
	ends[p] = s.end(t, topic, p)
	var got []sentRecord
	for r := range records(t, s.sys, topic, ends) {
		ms := r.Timestamp.UnixMilli()
		rec := sentRecord{Offset: r.Offset, Timestamp: &ms, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, headerFields{h.Key, h.Value})
		}
		got = append(got, rec)
		if len(r.Value) > 100_000 && codecs[r.Attrs.CompressionType()] != codec {
			t.Errorf("a long text is compressed with %s", codecs[r.Attrs.CompressionType()])
		}
	}
	s.sameRecords(t, p, got, want)
}

// checkIdempotent wants a producer id in the batch of an offset.
func (s *scenario) checkIdempotent(t *testing.T, topic string, offset int64) {
	t.Helper()
	for r := range records(t, s.sys, topic, []int64{offset + 1}) {
		if r.Offset == offset && r.ProducerID < 0 {
			t.Error("the batch of an idempotent producer has no producer id")
		}
	}
}

func (s *scenario) sameRecords(t *testing.T, p int, got, want []sentRecord) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("partition %d: %d records, want %d", p, len(got), len(want))
		return
	}
	for i, g := range got {
		w := want[i]
		switch {
		case !bytes.Equal(g.Key, w.Key) || (g.Key == nil) != (w.Key == nil) && !s.client.lacks("read:null"):
			t.Errorf("partition %d: record %d has key %q, want %q", p, i, g.Key, w.Key)
		case !bytes.Equal(g.Value, w.Value) || (g.Value == nil) != (w.Value == nil) && !s.client.lacks("read:null"):
			t.Errorf("partition %d: record %d has value %.40q (nil: %t), want %.40q (nil: %t)", p, i, g.Value, g.Value == nil, w.Value, w.Value == nil)
		case w.Timestamp != nil && (g.Timestamp == nil || *g.Timestamp != *w.Timestamp):
			t.Errorf("partition %d: record %d has another timestamp", p, i)
		case fmt.Sprint(g.Headers) != fmt.Sprint(w.Headers) && !s.client.lacks("read:headers"):
			t.Errorf("partition %d: record %d has headers %s, want %s", p, i, g.Headers, w.Headers)
		}
	}
}

func (s *scenario) openReader(topic string, p int, from any) (reader int, position int64) {
	s.d.t.Helper()
	var got struct {
		Reader   int
		Position int64
	}
	s.d.must("open_reader", fields{"topic": topic, "partition": p, "from": from}, &got)
	return got.Reader, got.Position
}

func (s *scenario) read(reader, limit int, timeout time.Duration) []sentRecord {
	s.d.t.Helper()
	var got struct{ Records []sentRecord }
	s.d.must("read", fields{"reader": reader, "max": limit, "timeout_ms": timeout.Milliseconds()}, &got)
	return got.Records
}

func (s *scenario) closeReader(reader int) {
	s.d.t.Helper()
	s.d.must("close_reader", fields{"reader": reader}, nil)
}

// ownProduce sends records with the test's own client, each where it says.
func (s *scenario) ownProduce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	own := openClient(t, s.sys, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer own.Close()
	if err := own.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// times looks for offsets by time in batches of ten records a second apart, and deletes records.
func (s *scenario) times() {
	topic := s.topic("times")
	createTopic(s.t, s.sys, topic, 1)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	for batch := range 10 {
		var records []*kgo.Record
		for i := batch * 10; i < batch*10+10; i++ {
			records = append(records, &kgo.Record{Topic: topic, Value: fmt.Append(nil, i), Timestamp: base.Add(time.Duration(i) * time.Second)})
		}
		s.ownProduce(s.t, records...)
	}
	s.step("consume from time", func(t *testing.T) {
		r, position := s.openReader(topic, 0, fields{"time": base.UnixMilli() + 37_500})
		if position != 38 && position != -1 {
			t.Errorf("position %d, want 38", position)
		}
		if got := s.read(r, 5, 20*time.Second); len(got) == 0 || got[0].Offset != 38 {
			t.Errorf("it reads %d records, want the first to be 38: %+v", len(got), got)
		}
		s.closeReader(r)
	}, "open_reader:time")
	s.step("offset for time", func(t *testing.T) {
		for _, at := range []struct{ seconds, want int64 }{{-10, 0}, {38, 38}, {99, 99}} {
			var got struct{ Offset *int64 }
			s.d.must("offset_for_time", fields{"topic": topic, "partition": 0, "time": base.UnixMilli() + at.seconds*1000}, &got)
			if got.Offset == nil || *got.Offset != at.want {
				t.Errorf("second %d: %v, want %d", at.seconds, got.Offset, at.want)
			}
		}
		var got struct{ Offset *int64 }
		s.d.must("offset_for_time", fields{"topic": topic, "partition": 0, "time": base.UnixMilli() + 100_000}, &got)
		if got.Offset != nil {
			t.Errorf("behind the last: %d, want none", *got.Offset)
		}
	}, "offset_for_time")
	s.probe("offset_for_time", fields{"topic": topic, "partition": 0, "time": base.UnixMilli()})
	s.step("delete records", func(t *testing.T) {
		var got struct{ Low map[string]int64 }
		s.d.must("delete_records", fields{"topic": topic, "offsets": fields{"0": 10}}, &got)
		if got.Low != nil && got.Low["0"] != 10 {
			t.Errorf("low watermarks %v, want 10", got.Low)
		}
		listed, err := s.admin.ListStartOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := listed.Lookup(topic, 0); o.Offset != 10 {
			t.Errorf("the log starts at %d, want 10", o.Offset)
		}
	}, "delete_records")
	s.probe("delete_records", fields{"topic": topic, "offsets": fields{"0": 10}})
}

// eventually waits until f says yes.
func eventually(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v not yet: %s", within, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// headerFields is [key, value] in JSON.
type headerFields struct {
	Key   string
	Value []byte
}

func (h headerFields) String() string { return h.Key + "=" + strings.ToValidUTF8(string(h.Value), "?") }

func (h headerFields) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Key, h.Value}) }

func (h *headerFields) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&h.Key, &h.Value})
}
