package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKafkaTools runs the tools that come with Apache Kafka and need no more than what is served.
func TestKafkaTools(t *testing.T) {
	needJava(t)
	b := startBroker(t)
	dir := t.TempDir()
	run := func(tool string, args ...string) string {
		t.Helper()
		command := javaArgs(t, "256m", "org.apache.kafka.tools."+tool, args...)
		out := string(runClient(t, "", command...))
		t.Logf("%s %s\n%s", tool, strings.Join(args, " "), out)
		return out
	}
	contains := func(out string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(out, want) {
				t.Errorf("no %q", want)
			}
		}
	}
	server := []string{"--bootstrap-server", b.addr}
	with := func(args ...string) []string { return append(append([]string{}, server...), args...) }

	contains(run("TopicCommand", with("--create", "--topic", "tools", "--partitions", "2", "--config", "max.message.bytes=50000")...),
		"Created topic tools.")
	contains(run("TopicCommand", with("--list")...), "tools\n")
	run("TopicCommand", with("--alter", "--topic", "tools", "--partitions", "3")...)
	run("ProducerPerformance", with("--topic", "tools", "--num-records", "20000", "--record-size", "100", "--throughput", "-1")...)
	ends := run("GetOffsetShell", with("--topic", "tools")...)
	contains(ends, "tools:0:", "tools:1:", "tools:2:")
	run("GetOffsetShell", with("--topic", "tools", "--time", "max-timestamp")...)

	file := filepath.Join(dir, "delete.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"partitions":[{"topic":"tools","partition":0,"offset":1}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	contains(run("DeleteRecordsCommand", with("--offset-json-file", file)...), "low_watermark: 1")
	contains(run("GetOffsetShell", with("--topic-partitions", "tools:0", "--time", "earliest")...), "tools:0:1")
	contains(run("ClusterTool", append([]string{"cluster-id"}, server...)...), "Cluster ID: ")
	contains(run("ClusterTool", append([]string{"list-endpoints"}, server...)...), "127.0.0.1")
	contains(run("BrokerApiVersionsCommand", server...), "Produce(0): 0 to 13", "CreateTopics(19): ")
	run("TopicCommand", with("--delete", "--topic", "tools")...)
	if out := run("TopicCommand", with("--list")...); strings.Contains(out, "tools") {
		t.Error("the topic is still there")
	}
}
