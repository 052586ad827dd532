package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestPartitionsAreSelectedByTopicAndNumber(t *testing.T) {
	got, err := ParseSelections([]string{"a", "b:2,0-1,1"})
	if err != nil || len(got) != 2 || got[0].Topic != "a" || got[0].Partitions != nil || !slices.Equal(got[1].Partitions, []int32{0, 1, 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", ":", ":1", "a:", "a:x", "a:-1", "a:1:2", "a:3-1"} {
		if got, err := ParseSelections([]string{bad}); !isUsage(err) {
			t.Errorf("%q: got %+v, %v, want a usage error", bad, got, err)
		}
	}
}

func TestPartitionsAreListedWithOffsetsAndSizes(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "b"), kfake.SeedTopics(1, "a"))
	numbered(t, target, "b", 1, 5)
	list, err := DescribePartitions(t.Context(), target, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, p := range list {
		rows = append(rows, fmt.Sprintf("%s:%d %d..%d..%d", p.Topic, p.Partition, *p.Start, *p.Stable, *p.End))
	}
	if got := strings.Join(rows, ", "); got != "a:0 0..0..0, b:0 0..0..0, b:1 0..5..5" {
		t.Errorf("got %s", got)
	}
	if list[2].Size == nil || *list[2].Size == 0 || len(list[2].States) != 1 {
		t.Errorf("size: %+v", list[2])
	}
	some, err := DescribePartitions(t.Context(), target, []PartitionSelection{{"b", []int32{1, 7}}, {Topic: "nope"}})
	if len(some) != 1 || !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "describe partitions: topic b has no partition 7") {
		t.Errorf("%+v, %v", some, err)
	}
	if got := table(t, PartitionDetails(some)); !strings.HasPrefix(got, "partition           b:1\nleader              0\n") ||
		!strings.Contains(got, "\nlast stable offset  5\nhigh watermark      5\nREPLICA  STATE            LAG  WRITTEN  FLUSHED  SIZE  DIRECTORY\n0        leader, in sync  0    -        -        ") {
		t.Errorf("got\n%s", got)
	}
}

func TestAnElectionThatIsNotNeededIsNoError(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.ElectLeaders), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
		topic := kmsg.NewElectLeadersResponseTopic()
		topic.Topic = "a"
		for p, code := range []int16{0, kerr.ElectionNotNeeded.Code, kerr.PreferredLeaderNotAvailable.Code} {
			row := kmsg.NewElectLeadersResponseTopicPartition()
			row.Partition, row.ErrorCode = int32(p), code
			topic.Partitions = append(topic.Partitions, row)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	target := Target{Bootstrap: c.ListenAddrs()}
	list, err := ElectLeaders(t.Context(), target, ElectLeadersOptions{All: true, Type: "preferred", DryRun: true})
	if err != nil || len(list) != 3 || list[2].Result != "not needed" {
		t.Errorf("dry run: %+v, %v", list, err)
	}
	list, err = ElectLeaders(t.Context(), target, ElectLeadersOptions{All: true, Type: "preferred"})
	if !errors.Is(err, kerr.PreferredLeaderNotAvailable) || strings.Contains(err.Error(), "NOT_NEEDED") {
		t.Errorf("got %v", err)
	}
	if len(list) != 3 || list[0].Result != "elected" || list[1].Result != "not needed" || !strings.HasPrefix(list[2].Result, "PREFERRED_LEADER_NOT_AVAILABLE") {
		t.Errorf("got %+v", list)
	}
	for _, bad := range []ElectLeadersOptions{{Type: "preferred"}, {Type: "x", All: true}, {Type: "preferred", All: true, Partitions: []PartitionSelection{{Topic: "a"}}}} {
		if _, err := ElectLeaders(t.Context(), Target{}, bad); !isUsage(err) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestElectionsAreNeededWhereAnotherLeads(t *testing.T) {
	replicas := []int32{2, 1, 3}
	for _, c := range []struct {
		kind         string
		leader       int32
		isr, offline []int32
		next         int32
		want         string
	}{
		{"preferred", 2, replicas, nil, 2, notNeeded},
		{"preferred", 1, replicas, nil, 2, needed},
		{"preferred", 1, []int32{1, 3}, nil, 1, notInSync},
		{"preferred", 1, []int32{1, 3}, []int32{2}, 1, notAlive},
		{"preferred", -1, []int32{2}, nil, 2, needed},
		{"preferred", -1, []int32{1}, []int32{2}, 1, needed},
		{"preferred", -1, []int32{2}, []int32{2}, -1, nobodyLives},
		{"unclean", 1, []int32{1}, nil, 1, notNeeded},
		{"unclean", -1, []int32{2}, []int32{2}, 1, lossy},
		{"unclean", -1, []int32{3}, []int32{2}, 3, needed},
		{"unclean", -1, []int32{2}, replicas, -1, nobodyLives},
	} {
		o := ElectLeadersOptions{Type: c.kind}
		e := o.plan(topicPartition{"a", 0}, kadm.PartitionDetail{Leader: c.leader, Replicas: replicas, ISR: c.isr, OfflineReplicas: c.offline})
		if e.Result != c.want || e.Preferred != 2 || e.Next != c.next {
			t.Errorf("%+v: got %+v", c, e)
		}
	}
}

func TestProducersOfAPartitionAreListed(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 3)
	list, err := ListProducers(t.Context(), target, []PartitionSelection{{Topic: "a"}, {Topic: "nope"}})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("the topic that is not there: %v", err)
	}
	if got := table(t, list); !strings.HasPrefix(got, "TOPIC  PARTITION  PRODUCER") {
		t.Errorf("got\n%s", got)
	}
	if _, err := ListProducers(t.Context(), target, nil); !isUsage(err) {
		t.Errorf("nothing selected: %v", err)
	}
}

func TestTheOldestRecordsAreDeleted(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	numbered(t, target, "a", 0, 10)
	numbered(t, target, "a", 1, 4)
	deleteRecords := func(o DeleteRecordsOptions, want string) {
		t.Helper()
		o.Topic = "a"
		d, err := DeleteRecords(t.Context(), target, o)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, table(t, d), "PARTITION  START-BEFORE  START  END  DELETED\n"+want)
	}
	deleteRecords(DeleteRecordsOptions{Offsets: map[int32]int64{0: 5}, DryRun: true}, "0          0             5      10   5\n")
	deleteRecords(DeleteRecordsOptions{Offsets: map[int32]int64{0: 3}}, "0          0             3      10   3\n")
	deleteRecords(DeleteRecordsOptions{Offsets: map[int32]int64{0: 1}}, "0          3             3      10   0\n")
	deleteRecords(DeleteRecordsOptions{Before: time.UnixMilli(1005)}, "0          3             5      10   2\n1          0             4      4    4\n")
	deleteRecords(DeleteRecordsOptions{Offsets: map[int32]int64{0: -1}}, "0          5             10     10   5\n")
	for want, o := range map[string]DeleteRecordsOptions{
		"offset 11 is behind its end 10": {Topic: "a", Offsets: map[int32]int64{0: 11}},
		"topic a has no partition 2":     {Topic: "a", Offsets: map[int32]int64{2: 1}},
		"UNKNOWN_TOPIC_OR_PARTITION":     {Topic: "nope", Offsets: map[int32]int64{0: 1}},
		"say which records by one of":    {Topic: "a"},
	} {
		if _, err := DeleteRecords(t.Context(), target, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
	for _, bad := range []string{"x", "0", "0:", "0:-2", "-1:5", "0:1:2"} {
		if _, err := ParseDeleteOffsets([]string{bad}); !isUsage(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParseDeleteOffsets([]string{"0:1", "0:end"}); !isUsage(err) {
		t.Errorf("a partition twice: %v", err)
	}
}

func TestTopicsAreAltered(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	o := AlterTopicOptions{Name: "a", Partitions: 4, Configs: []string{"retention.ms=1000"}, DryRun: true}
	for _, o.DryRun = range []bool{true, false} {
		if _, err := AlterTopic(t.Context(), target, o); err != nil {
			t.Fatal(err)
		}
		d, err := DescribeTopics(t.Context(), target, []string{"a"})
		if err != nil || (len(d[0].Partitions) == 4) == o.DryRun || (d[0].Configs["retention.ms"] == "1000") == o.DryRun {
			t.Errorf("dry run %v: %+v, %v", o.DryRun, d, err)
		}
	}
	altered, err := AlterTopic(t.Context(), target, AlterTopicOptions{Name: "a", DeleteConfigs: []string{"retention.ms"}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, altered), `
	changed topic a
	KEY           CHANGE  VALUE  BEFORE
	retention.ms  unset   -      1000
	`)
	if _, err := AlterTopic(t.Context(), target, AlterTopicOptions{Name: "a", Partitions: 3}); !errors.Is(err, kerr.InvalidPartitions) {
		t.Errorf("fewer partitions: %v", err)
	}
	if _, err := AlterTopic(t.Context(), target, AlterTopicOptions{Name: "nope", Partitions: 3}); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("no such topic: %v", err)
	}
	for _, bad := range []AlterTopicOptions{
		{Name: "a"}, {Name: "a", Partitions: -1}, {Name: "a", Configs: []string{"x"}},
		{Name: "a", Configs: []string{"x=1"}, DeleteConfigs: []string{"x"}},
	} {
		if _, err := AlterTopic(t.Context(), target, bad); !isUsage(err) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestARefusedPropertyKeepsPartitionsFromBeingAdded(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode = kmsg.ConfigResourceTypeTopic, "a", kerr.InvalidConfig.Code
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
	target := Target{Bootstrap: c.ListenAddrs()}
	_, err = AlterTopic(t.Context(), target, AlterTopicOptions{Name: "a", Partitions: 4, Configs: []string{"no.such.key=1"}})
	if !errors.Is(err, kerr.InvalidConfig) {
		t.Errorf("got %v", err)
	}
	if d, err := DescribeTopics(t.Context(), target, []string{"a"}); err != nil || len(d[0].Partitions) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestTopicsAreFiltered(t *testing.T) {
	whole := PartitionDescription{Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1, 2}}
	lame := PartitionDescription{Partition: 1, Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}}
	dead := PartitionDescription{Partition: 2, Leader: -1, Replicas: []int32{1, 2}, ISR: []int32{1, 2}}
	list := TopicDescriptions{
		{Name: "a", Partitions: []PartitionDescription{whole, lame, dead}},
		{Name: "b", Partitions: []PartitionDescription{whole}, Configs: map[string]string{"x": "1"}},
	}
	for want, f := range map[string]TopicFilter{
		"a0 a1 a2 b0": {}, "a1": {UnderReplicated: true}, "a2": {Unavailable: true},
		"a1 a2": {UnderReplicated: true, Unavailable: true}, "b0": {WithOverrides: true}, "": {WithOverrides: true, Unavailable: true},
	} {
		var got []string
		for _, d := range list.Filter(f) {
			for _, p := range d.Partitions {
				got = append(got, fmt.Sprint(d.Name, p.Partition))
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%+v: got %q, want %q", f, s, want)
		}
	}
}

func TestTopicsAreListedByPattern(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "orders", "orders.eu", "pay"))
	for pattern, want := range map[string]int{"": 3, "orders": 1, "orders.*": 2, "pay|orders": 2, "x": 0} {
		if list, err := ListTopics(t.Context(), target, ListTopicsOptions{Pattern: pattern}); err != nil || len(list) != want {
			t.Errorf("%q: %+v, %v", pattern, list, err)
		}
	}
	if _, err := ListTopics(t.Context(), target, ListTopicsOptions{Pattern: "("}); !isUsage(err) {
		t.Errorf("got %v", err)
	}
}
