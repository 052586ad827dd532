package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fake starts a cluster that lives as long as the test.
func fake(t *testing.T, opts ...kfake.Opt) Target {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Target{Bootstrap: c.ListenAddrs(), Timeout: 10 * time.Second}
}

// produce writes lines and fails the test if one of them fails.
func produce(t *testing.T, target Target, o ProduceOptions, input string) *ProduceSummary {
	t.Helper()
	o.Linger = 0
	s, err := Produce(t.Context(), target, o, strings.NewReader(input))
	if err != nil || s.Failed > 0 {
		t.Fatalf("produce: %v, %+v", err, s)
	}
	return s
}

// consume returns what is printed up to the end.
func consume(t *testing.T, target Target, o ConsumeOptions) string {
	t.Helper()
	var out bytes.Buffer
	o.UntilEnd = true
	if _, err := Consume(t.Context(), target, o, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func isUsage(err error) bool {
	var u *UsageError
	return errors.As(err, &u)
}

func TestTopicsAreCreatedListedDescribedAndDeleted(t *testing.T) {
	target := fake(t)
	ctx := t.Context()
	_, err := CreateTopic(ctx, target, CreateTopicOptions{
		Name: "orders", Partitions: 3, ReplicationFactor: 1, Configs: []string{"retention.ms=1000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = CreateTopic(ctx, target, CreateTopicOptions{Name: "orders", Partitions: 3, ReplicationFactor: 1})
	if !errors.Is(err, kerr.TopicAlreadyExists) || !strings.Contains(err.Error(), "create topic orders: TOPIC_ALREADY_EXISTS") {
		t.Errorf("second creation: %v", err)
	}
	created, err := CreateTopic(ctx, target, CreateTopicOptions{Name: "orders", Partitions: 3, ReplicationFactor: 1, IfNotExists: true})
	if err != nil || !created.Existed {
		t.Errorf("creation unless it exists: %+v, %v", created, err)
	}
	list, err := ListTopics(ctx, target, ListTopicsOptions{})
	if err != nil || len(list) != 1 || list[0].Name != "orders" || list[0].Partitions != 3 || list[0].ReplicationFactor != 1 {
		t.Errorf("list: %+v, %v", list, err)
	}
	o := NewProduceOptions("orders")
	o.Partition = 1
	produce(t, target, o, "a\nb\n")
	described, err := DescribeTopics(ctx, target, []string{"orders", "nope"})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || len(described) != 1 {
		t.Fatalf("describe: %+v, %v", described, err)
	}
	p := described[0].Partitions[1]
	if *p.Start != 0 || *p.End != 2 || p.Leader < 0 || len(p.Replicas) != 1 {
		t.Errorf("partition 1: %+v", p)
	}
	if described[0].Configs["retention.ms"] != "1000" {
		t.Errorf("configs: %v", described[0].Configs)
	}
	deleted, err := DeleteTopics(ctx, target, DeleteTopicsOptions{Names: []string{"orders", "nope"}})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || len(deleted.Deleted) != 1 {
		t.Errorf("delete: %+v, %v", deleted, err)
	}
	deleted, err = DeleteTopics(ctx, target, DeleteTopicsOptions{Names: []string{"orders"}, IfExists: true})
	if err != nil || len(deleted.Missing) != 1 {
		t.Errorf("delete again: %+v, %v", deleted, err)
	}
}

func TestADescriptionNeedsNoDescribeConfigs(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	versions := serveWithout(c, describeConfigsKey)
	described, err := DescribeTopics(t.Context(), Target{Bootstrap: c.ListenAddrs()}, nil)
	if err != nil || len(described) != 1 || described[0].Configs != nil {
		t.Errorf("got %+v, %v", described, err)
	}
	if versions.Load() == 0 {
		t.Error("the versions were never asked for")
	}
}

func TestDryRunCreatesNothing(t *testing.T) {
	target := fake(t)
	created, err := CreateTopic(t.Context(), target, CreateTopicOptions{Name: "a", Partitions: 1, ReplicationFactor: 1, DryRun: true})
	if err != nil || !created.DryRun {
		t.Fatalf("%+v, %v", created, err)
	}
	if list, err := ListTopics(t.Context(), target, ListTopicsOptions{}); err != nil || len(list) != 0 {
		t.Errorf("list: %+v, %v", list, err)
	}
}

func TestAssignmentsArePartitionsOfBrokers(t *testing.T) {
	list, err := parseAssignment("1:2,3")
	if err != nil || len(list) != 2 || list[1].Partition != 1 || list[0].Replicas[1] != 2 || list[1].Replicas[0] != 3 {
		t.Errorf("got %+v, %v", list, err)
	}
	for _, bad := range []string{"x", "1,", "1::2", "-1"} {
		if _, err := parseAssignment(bad); !isUsage(err) {
			t.Errorf("%q: got %v, want a usage error", bad, err)
		}
	}
	_, err = CreateTopic(t.Context(), Target{}, CreateTopicOptions{Name: "a", Partitions: 1, ReplicationFactor: -1, Assignment: "1"})
	if !isUsage(err) {
		t.Errorf("assignment and partitions: got %v, want a usage error", err)
	}
	_, err = CreateTopic(t.Context(), Target{}, CreateTopicOptions{Name: "a", Configs: []string{"x"}})
	if !isUsage(err) {
		t.Errorf("config without a value: got %v, want a usage error", err)
	}
}

func TestNobodyAtTheAddressIsOneClearErrorAtOnce(t *testing.T) {
	_, err := ListTopics(t.Context(), Target{Bootstrap: []string{"127.0.0.1:1"}, Timeout: 5 * time.Second}, ListTopicsOptions{})
	if err == nil || !strings.Contains(Explain(err), "no broker answers at 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

func TestBootstrapAddressesMayLackAPort(t *testing.T) {
	got, err := Target{Bootstrap: []string{"a, b:1", "::1"}}.Addresses()
	if err != nil || strings.Join(got, " ") != "a:9092 b:1 [::1]:9092" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := (Target{}).Addresses(); !isUsage(err) {
		t.Errorf("no address: got %v, want a usage error", err)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	text := "first\n  second"
	if got := Explain(kafkaError(3, &text)); got != "UNKNOWN_TOPIC_OR_PARTITION: first second" {
		t.Errorf("got %q", got)
	}
	if err := kafkaError(3, &text); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("%v is not Kafka's error", err)
	}
}

func TestReadingCommittedEndsBehindAnAbortedTransaction(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	client, err := kgo.NewClient(kgo.SeedBrokers(target.Bootstrap...), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	transact(t, client, "kept", kgo.TryCommit)
	transact(t, client, "dropped", kgo.TryAbort)
	o := NewConsumeOptions("a")
	o.ReadCommitted = true
	if got := consume(t, target, o); got != "kept\n" {
		t.Errorf("read_committed printed %q", got)
	}
	o.ReadCommitted = false
	if got := consume(t, target, o); got != "kept\ndropped\n" {
		t.Errorf("read_uncommitted printed %q", got)
	}
}

func transact(t *testing.T, client *kgo.Client, value string, end kgo.TransactionEndTry) {
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}
