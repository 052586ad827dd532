package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestSidesTakeTurnsAndLeaveNoTopic(t *testing.T) {
	sides := make([]Side, 2)
	for i := range sides {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		sides[i].Bootstrap = c.ListenAddrs()
	}
	for _, workload := range Workloads {
		var told []string
		c, err := Pairs(t.Context(), PairsOptions{
			A: sides[0], B: sides[1], Workload: workload, Pairs: 2, Pause: time.Millisecond,
			Produce:  ProduceOptions{Target: Target{Partitions: 2, ReplicationFactor: 1}, BatchRecords: 10, Acks: -1, Records: 200},
			EndToEnd: EndToEndOptions{Rate: 1000, Acks: -1, Duration: 100 * time.Millisecond},
			Tell:     func(p PairsProgress) { told = append(told, p.Side) },
		})
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		if c.Order != "ABBA" || strings.Join(told, "") != "BAABBA" || len(c.Rounds) != 4 {
			t.Errorf("%s: order %s, told %v, %d rounds", workload, c.Order, told, len(c.Rounds))
		}
		i := slices.IndexFunc(c.Metrics, func(m MetricPair) bool { return m.Name == "latency p99" })
		if c.Metrics[0].A.Median <= 0 || c.Metrics[0].Ratio.Median <= 0 || i < 0 || c.Metrics[i].B.Median <= 0 {
			t.Errorf("%s: %+v", workload, c.Metrics)
		}
	}
	for _, s := range sides {
		if left := topics(t, s.Bootstrap); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestTopicsMayBeKeptUntilTheEnd(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	side := Side{Bootstrap: c.ListenAddrs()}
	for keep, want := range map[bool][]int{false: {0, 0, 0, 0}, true: {1, 2, 3, 4}} {
		var there []int
		_, err := Pairs(t.Context(), PairsOptions{
			A: side, B: side, Workload: "produce", Pairs: 2, WarmUpPairs: -1, Pause: time.Millisecond, KeepTopics: keep,
			Produce: ProduceOptions{Target: Target{Partitions: 1, ReplicationFactor: 1}, BatchRecords: 10, Acks: -1, Records: 20},
			Tell:    func(PairsProgress) { there = append(there, len(topics(t, side.Bootstrap))) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(there, want) {
			t.Errorf("kept %v: after each round there were %v topics, want %v", keep, there, want)
		}
		if left := topics(t, side.Bootstrap); len(left) != 0 {
			t.Errorf("kept %v: left behind: %v", keep, left)
		}
	}
}

func topics(t *testing.T, bootstrap []string) []string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	list, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Names()
}

func TestASideThatIsNotThereIsNamed(t *testing.T) {
	s := newSink(t, "x", 1)
	_, err := Pairs(t.Context(), PairsOptions{A: Side{Bootstrap: []string{"127.0.0.1:1"}}, B: Side{Bootstrap: []string{s.addr()}}, Workload: "produce", WarmUpPairs: -1})
	if err == nil || !strings.HasPrefix(err.Error(), "A: no broker answers") {
		t.Errorf("%v", err)
	}
	if _, err := Pairs(t.Context(), PairsOptions{Workload: "dance"}); err == nil || !strings.Contains(err.Error(), "produce, consume, e2e") {
		t.Errorf("%v", err)
	}
}

func TestRatiosAreOfPairs(t *testing.T) {
	run := func(pair int, side string, rate float64) ComparedRound {
		return ComparedRound{Pair: pair, Side: side, Result: &Result{RecordsSec: rate}}
	}
	m := compareRounds([]ComparedRound{run(1, "A", 10), run(1, "B", 5), run(2, "B", 50), run(2, "A", 200), run(3, "A", 30), run(3, "B", 10)})[0]
	if m.Ratio != (Quartiles{Min: 2, Q1: 2.5, Median: 3, Q3: 3.5, Max: 4}) || m.A.Median != 30 || m.B.Median != 10 {
		t.Errorf("%+v", m)
	}
	if q := QuartilesOf([]float64{7}); q.Min != 7 || q.Q1 != 7 || q.Max != 7 {
		t.Errorf("of one: %+v", q)
	}
}
