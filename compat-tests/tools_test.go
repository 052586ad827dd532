package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafkaTools runs the tools that come with Apache Kafka and looks at what they print.
func TestKafkaTools(t *testing.T) {
	needJava(t)
	b := startBroker(t, scenarioFlags...)
	x := startTools(t, b)
	tests := []struct {
		name string
		f    func(t *testing.T, x *toolbox)
	}{
		{"topics", toolsOfTopics},
		{"offsets", toolsOfOffsets},
		{"console", toolsOfTheConsole},
		{"groups", toolsOfGroups},
		{"reset offsets", toolsResetOffsets},
		{"topic configs", toolsOfTopicConfigs},
		{"broker configs", toolsOfBrokerConfigs},
		{"group configs", toolsOfGroupConfigs},
		{"performance", toolsOfPerformance},
		{"verifiable", toolsThatVerify},
		{"cluster", toolsOfTheCluster},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.f(t, x) })
	}
}

func toolsOfTopics(t *testing.T, x *toolbox) {
	x.run(t, tool("TopicCommand --create --topic made --partitions 2 --config max.message.bytes=50000"), "Created topic made.")
	x.refused(t, tool("TopicCommand --create --topic made"), "Topic 'made' already exists.")
	x.run(t, tool("TopicCommand --create --topic made --if-not-exists"))
	x.soon(t, tool("TopicCommand --list"), "made")
	out := x.run(t, tool("TopicCommand --describe --topic made"))
	for _, want := range []string{"PartitionCount: 2", "ReplicationFactor: 1", "max.message.bytes=50000", "Partition: 1\tLeader: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	x.run(t, tool("TopicCommand --alter --topic made --partitions 3"))
	x.soon(t, tool("TopicCommand --describe --topic made"), "Topic: made Partition: 2 Leader: ...")
	x.refused(t, tool("TopicCommand --alter --topic made --partitions 2"), "2 would not be an increase")
	x.refused(t, tool("TopicCommand --describe --topic nowhere"), "Topic 'nowhere' does not exist as expected")
	if out := x.run(t, tool("TopicCommand --describe --unavailable-partitions")); strings.Contains(out, "made") {
		t.Errorf("unavailable:\n%s", out)
	}
	x.run(t, tool("TopicCommand --delete --topic made"))
	x.refused(t, tool("TopicCommand --delete --topic made"), "Topic 'made' does not exist as expected")
	if out := x.run(t, tool("TopicCommand --list")); hasLine(out, "made") {
		t.Error("the topic is still there")
	}
}

// send produces values one by one to the partitions in turn, and gives their timestamps, which differ.
func (x *toolbox) send(t *testing.T, topic string, partitions int, values ...string) []int64 {
	t.Helper()
	client := openClient(t, x.sys, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var at []int64
	now := time.Now()
	for i, value := range values {
		r := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: []byte(value), Timestamp: now.Add(time.Duration(i) * time.Millisecond)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		at = append(at, r.Timestamp.UnixMilli())
	}
	return at
}

func toolsOfOffsets(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "offsets", 2)
	x.send(t, "offsets", 2, "a", "b", "c", "d", "e")
	x.run(t, tool("GetOffsetShell --topic offsets"), "offsets:0:3", "offsets:1:2")
	x.run(t, tool("GetOffsetShell --topic offsets --time latest"), "offsets:0:3", "offsets:1:2")
	x.run(t, tool("GetOffsetShell --topic offsets --time earliest"), "offsets:0:0", "offsets:1:0")
	x.run(t, tool("GetOffsetShell --topic offsets --time max-timestamp"), "offsets:0:2", "offsets:1:1")
	x.run(t, tool("GetOffsetShell --topic-partitions offsets:0 --time 1000"), "offsets:0:0")
	file := filepath.Join(t.TempDir(), "delete.json")
	text := `{"version":1,"partitions":[{"topic":"offsets","partition":0,"offset":1},{"topic":"offsets","partition":1,"offset":-1}]}`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	x.run(t, tool("DeleteRecordsCommand --offset-json-file", file),
		"partition: offsets-0 low_watermark: 1", "partition: offsets-1 low_watermark: 2")
	x.run(t, tool("GetOffsetShell --topic offsets --time earliest"), "offsets:0:1", "offsets:1:2")
	out := x.run(t, tool("LogDirsCommand --describe --topic-list offsets"))
	for _, want := range []string{`"partition":"offsets-0","size":`, `"partition":"offsets-1"`, `"isFuture":false`, `"error":null`, x.b.dir} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func toolsOfTheConsole(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "console", 1)
	said := x.call(t, "one:1,two:zwei\tkey\tvalue\none:3\tÿ\tgrüße\nx:y\tgone\tNULL\n", "ConsoleProducer", tool(
		"--topic console --compression-codec zstd --reader-property parse.key=true --reader-property parse.headers=true "+
			"--reader-property null.marker=NULL")...)
	if said.code != 0 {
		t.Fatalf("%s%s", said.out, said.err)
	}
	var got []string
	for r := range records(t, x.sys, "console", []int64{3}) {
		got = append(got, fmt.Sprintf("%s %q %q nil:%t", r.Headers, r.Key, r.Value, r.Value == nil))
	}
	want := []string{
		`[{one 1} {two zwei}] "key" "value" nil:false`, `[{one 3}] "ÿ" "grüße" nil:false`, `[{x y}] "gone" "" nil:true`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the console producer sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	read := "ConsoleConsumer --topic console --timeout-ms 15000 --formatter-property print.key=true --formatter-property " +
		"print.headers=true --formatter-property print.partition=true --formatter-property print.offset=true " +
		"--formatter-property null.literal=NULL --max-messages "
	read = "org.apache.kafka.tools.consumer." + read
	x.run(t, tool(read+"2 --from-beginning --group console-group"),
		"Partition:0 Offset:0 one:1,two:zwei key value", "Partition:0 Offset:1 one:3 ÿ grüße")
	out := x.run(t, tool(read+"1 --group console-group"), "Partition:0 Offset:2 x:y gone NULL")
	if strings.Contains(out, "value") {
		t.Errorf("the group reads again what it has committed:\n%s", out)
	}
	x.run(t, tool(read+"1 --partition 0 --offset 1"), "Partition:0 Offset:1 one:3 ÿ grüße")
}

// node is the broker's id.
func (x *toolbox) node(t *testing.T) string {
	t.Helper()
	brokers, err := kadm.NewClient(openClient(t, x.sys)).ListBrokers(t.Context())
	if err != nil || len(brokers) != 1 {
		t.Fatal(brokers, err)
	}
	return fmt.Sprint(brokers[0].NodeID)
}

func toolsOfPerformance(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "performance", 2)
	x.run(t, tool("ProducerPerformance --topic performance --num-records 20000 --record-size 100 --throughput -1"), "20000 records sent, ...")
	out := x.run(t, tool("ConsumerPerformance --topic performance --num-records 20000 --timeout 30000 --group performance"))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if cells := strings.Split(lines[len(lines)-1], ", "); len(cells) < 5 || cells[4] != "20000" {
		t.Errorf("the consumer has not read 20000 records:\n%s", out)
	}
	x.run(t, tool("GetOffsetShell --topic performance --time earliest"), "performance:0:0", "performance:1:0")
}

func toolsThatVerify(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "verifiable", 1)
	out := x.run(t, tool("VerifiableProducer --topic verifiable --max-messages 50 --acks -1 --value-prefix 7"))
	// It waits for its acknowledgements only when the JVM ends; here they come while another tool runs.
	acks := func() int { return strings.Count(out, `"name":"producer_send_success"`) }
	for deadline := time.Now().Add(15 * time.Second); acks() < 50 && time.Now().Before(deadline); {
		out += x.run(t, tool("GetOffsetShell --topic verifiable"))
	}
	if n := acks(); n != 50 || !saysJSON(t, out, `{"value":"7.49","offset":49,"topic":"verifiable"}`) {
		t.Errorf("%d of 50 messages are acknowledged:\n%s", n, lastBytes([]byte(out), 2000))
	}
	out = x.run(t, tool("VerifiableConsumer --topic verifiable --group-id verifiable --max-messages 50 --reset-policy earliest"))
	for _, want := range []string{
		`{"name":"partitions_assigned","partitions":[{"topic":"verifiable","partition":0}]}`,
		`{"partitions":[{"topic":"verifiable","partition":0,"count":50,"minOffset":0,"maxOffset":49}]}`,
		`{"name":"offsets_committed","offsets":[{"topic":"verifiable","partition":0,"offset":50}],"success":true}`,
		`{"name":"shutdown_complete"}`,
	} {
		if !saysJSON(t, out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	x.run(t, describeGroup("verifiable"), "verifiable verifiable 0 50 50 0 - - -")
}

// saysJSON tells whether a line of out is a JSON object with all that want has. The tools print fields in the order in which
// the JVM happens to name them.
func saysJSON(t *testing.T, out, want string) bool {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var got any
		if json.Unmarshal([]byte(line), &got) == nil && holds(got, wanted) {
			return true
		}
	}
	return false
}

// holds tells whether a JSON value is another one, or an object with more fields.
func holds(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		for name, value := range want {
			ok = ok && holds(fields[name], value)
		}
		return ok
	case []any:
		values, ok := got.([]any)
		return ok && slices.EqualFunc(values, want, holds)
	}
	return got == want
}

func toolsOfTheCluster(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "cluster", 1)
	node := x.node(t)
	id := strings.TrimPrefix(x.run(t, tool("ClusterTool cluster-id"), "Cluster ID: ..."), "Cluster ID: ")
	host, port, _ := strings.Cut(x.b.addr, ":")
	x.run(t, tool("ClusterTool list-endpoints"), strings.Join([]string{node, host, port, "null unfenced broker"}, " "))
	x.run(t, tool("MetadataQuorumCommand describe --status"),
		"ClusterId: "+strings.TrimSpace(id), "LeaderId: "+node, "MaxFollowerLag: 0", `CurrentVoters: [{"id": `+node+", ...", "CurrentObservers: []")
	x.run(t, tool("MetadataQuorumCommand describe --replication"), "NodeId DirectoryId LogEndOffset ...", node+" ...")
	x.run(t, tool("LeaderElectionCommand --election-type preferred --topic cluster --partition 0"),
		"Valid replica already elected for partitions cluster-0")
	x.run(t, tool("LeaderElectionCommand --election-type unclean --topic cluster --partition 0"),
		"Valid replica already elected for partitions cluster-0")
	x.run(t, tool("LeaderElectionCommand --election-type preferred --all-topic-partitions"))
	x.refused(t, tool("LeaderElectionCommand --election-type preferred --topic nowhere --partition 0"), "nowhere-0")
	x.run(t, tool("BrokerApiVersionsCommand"), x.b.addr+" (id: "+node+" rack: null isFenced: false) -> (",
		"Produce(0): 0 to 13 [usable: 13],", "OffsetCommit(8): ...", "JoinGroup(11): 0 to 9 [usable: 9],", "ListGroups(16): 0 to 5 [usable: 5],",
		"IncrementalAlterConfigs(44): 0 to 1 [usable: 1],", "DescribeQuorum(55): 0 to 2 [usable: 2],")
}
