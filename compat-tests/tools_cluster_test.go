package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafkaToolsOnThreeNodes runs Kafka's tools on a cluster: all nodes there, one gone, and back again. Leaders stay where
// they are until a tool moves them.
func TestKafkaToolsOnThreeNodes(t *testing.T) {
	needJava(t)
	c := startThree(t, slices.Concat(scenarioFlags, []string{"--set", "auto.leader.rebalance.enable=false"})...)
	x := startTools(t, c)
	x.run(t, tool("TopicCommand --create --topic placed --replica-assignment 1:2:3,2:3:1,3:1:2"), "Created topic placed.")
	x.run(t, tool("TopicCommand --create --topic strict --replica-assignment 1:2:3 --config min.insync.replicas=3"), "Created topic strict.")
	x.run(t, tool("TopicCommand --create --topic single --replica-assignment 3 --config min.insync.replicas=1"), "Created topic single.")
	for _, topic := range []string{"placed", "strict", "single"} {
		settle(t, c, topic)
	}
	x.send(t, "placed", 3, "a", "b", "c", "d", "e", "f", "g")
	tests := []struct {
		name string
		f    func(t *testing.T, x *toolbox, c *cluster)
	}{
		{"topics", toolsOfWholeTopics},
		{"cluster", toolsOfThreeBrokers},
		{"offsets and log directories", toolsOfReplicas},
		{"groups", toolsOfSpreadGroups},
		{"one node gone", toolsWithoutANode},
		{"elections", toolsThatElect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.f(t, x, c) })
	}
}

// placedRow is a line of the tool's description of a partition; an empty isr may be anything.
func placedRow(topic string, p, leader int, replicas, isr string) string {
	if isr != "" {
		isr += " "
	}
	return fmt.Sprintf("Topic: %s Partition: %d Leader: %d Replicas: %s Isr: %s...", topic, p, leader, replicas, isr)
}

// faultyPartitions are the questions of the topics' tool after partitions that are not as they should be.
var faultyPartitions = []string{"--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions", "--at-min-isr-partitions"}

func toolsOfWholeTopics(t *testing.T, x *toolbox, _ *cluster) {
	out := x.run(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 0, 1, "1,2,3", "1,2,3"),
		placedRow("placed", 1, 2, "2,3,1", "2,3,1"), placedRow("placed", 2, 3, "3,1,2", "3,1,2"))
	for _, want := range []string{"PartitionCount: 3", "ReplicationFactor: 3", "min.insync.replicas=2", "Elr: \tLastKnownElr: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, faulty := range faultyPartitions {
		out := x.run(t, tool("TopicCommand --describe "+faulty))
		if strings.Contains(out, "placed") || faulty != "--at-min-isr-partitions" && out != "" {
			t.Errorf("%s of a whole cluster:\n%s", faulty, out)
		}
	}
	x.run(t, tool("TopicCommand --describe --at-min-isr-partitions"), placedRow("strict", 0, 1, "1,2,3", "1,2,3"), placedRow("single", 0, 3, "3", "3"))
	x.run(t, tool("TopicCommand --create --topic spread --partitions 6 --replication-factor 2"), "Created topic spread.")
	x.soon(t, tool("TopicCommand --describe --topic spread"), "Topic: spread Partition: 5 Leader: ...")
	x.refused(t, tool("TopicCommand --create --topic wide --replication-factor 4"), "Unable to replicate the partition 4 time(s): "+
		"The target replication factor of 4 cannot be reached because only 3 broker(s) are registered or some brokers have all their log directories cordoned.")
	x.refused(t, tool("TopicCommand --create --topic odd --replica-assignment 1:2,1:2:3"), "replication factor")
	x.refused(t, tool("TopicCommand --create --topic twice --replica-assignment 1:1"), "Partition replica lists may not contain duplicate entries: 1")
	x.refused(t, tool("TopicCommand --create --topic nobody --replica-assignment 1:9"), "9")
	x.run(t, tool("TopicCommand --alter --topic placed --partitions 4 --replica-assignment 1:2:3,2:3:1,3:1:2,2:1:3"))
	x.soon(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 3, 2, "2,1,3", "2,1,3"))
	x.run(t, tool("TopicCommand --delete --topic spread"))
}

func toolsOfThreeBrokers(t *testing.T, x *toolbox, c *cluster) {
	id := strings.TrimSpace(strings.TrimPrefix(x.run(t, tool("ClusterTool cluster-id"), "Cluster ID: ..."), "Cluster ID: "))
	var endpoints, brokers []string
	for _, b := range c.nodes {
		host, port, _ := strings.Cut(b.addr, ":")
		endpoints = append(endpoints, fmt.Sprintf("%d %s %s null unfenced broker", b.id, host, port))
		brokers = append(brokers, fmt.Sprintf("%s (id: %d rack: null isFenced: false) -> (", b.addr, b.id))
	}
	x.run(t, tool("ClusterTool list-endpoints"), endpoints...)
	x.run(t, tool("BrokerApiVersionsCommand"), brokers...)
	out := x.run(t, tool("MetadataQuorumCommand describe --status"), "ClusterId: "+id, "LeaderId: ...", "LeaderEpoch: ...",
		"HighWatermark: ...", "MaxFollowerLag: ...", "MaxFollowerLagTimeMs: ...", "CurrentObservers: []")
	for _, b := range c.nodes {
		if want := fmt.Sprintf(`"id": %d, `, b.id); !strings.Contains(out, want) || !strings.Contains(out, b.cluster) {
			t.Errorf("no %q and %s in\n%s", want, b.cluster, out)
		}
	}
	out = x.run(t, tool("MetadataQuorumCommand describe --replication"), "NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status")
	if strings.Count(out, "Follower") != 2 || strings.Count(out, "Leader") != 1 {
		t.Errorf("not one leader and two followers:\n%s", out)
	}
}

func toolsOfReplicas(t *testing.T, x *toolbox, c *cluster) {
	x.run(t, tool("GetOffsetShell --topic placed"), "placed:0:3", "placed:1:2", "placed:2:2", "placed:3:0")
	x.run(t, tool("GetOffsetShell --topic placed --time earliest"), "placed:0:0", "placed:1:0", "placed:2:0", "placed:3:0")
	out := x.run(t, tool("LogDirsCommand --describe --topic-list placed,single"), "Received log directory information from brokers 1,2,3")
	for _, b := range c.nodes {
		if !strings.Contains(out, b.dir) {
			t.Errorf("no directory of node %d in\n%s", b.id, out)
		}
	}
	if n := strings.Count(out, `"partition":"placed-0"`); n != 3 {
		t.Errorf("%d replicas of placed-0 in\n%s", n, out)
	}
	if n := strings.Count(out, `"partition":"single-0"`); n != 1 {
		t.Errorf("%d replicas of single-0 in\n%s", n, out)
	}
	x.run(t, tool("LogDirsCommand --describe --broker-list 2"), "Received log directory information from brokers 2")
	x.refused(t, tool("LogDirsCommand --describe --broker-list 7"), "7")
}

// toolsOfSpreadGroups has groups whose coordinators are on several nodes.
func toolsOfSpreadGroups(t *testing.T, x *toolbox, c *cluster) {
	coordinators := map[int32]bool{}
	admin := kadm.NewClient(openClient(t, c))
	var groups []string
	for i := range 6 {
		group := fmt.Sprintf("spread-%d", i)
		groups = append(groups, group)
		x.commitAs(t, group, "placed", 1, 2, 2)
		at := admin.FindGroupCoordinators(t.Context(), group)
		if err := at.Error(); err != nil {
			t.Fatal(err)
		}
		node := at[group].NodeID
		coordinators[node] = true
		x.run(t, describeGroup(group, "--state"), fmt.Sprintf("%s %s (%d) - Empty 0", group, c.node(node).addr, node))
	}
	if len(coordinators) < 2 {
		t.Errorf("all groups are coordinated by %v", coordinators)
	}
	x.run(t, tool(groupCommand+"--list"), groups...)
	x.run(t, describeGroup("spread-0"), "spread-0 placed 0 1 3 2 - - -", "spread-0 placed 1 2 2 0 - - -", "spread-0 placed 2 2 2 0 - - -")
	member := openClient(t, c, kgo.ClientID("spread-member"), kgo.ConsumerGroup("spread-1"), kgo.ConsumeTopics("placed"),
		kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit())
	x.soon(t, describeGroup("spread-1"), "spread-1 placed 0 1 3 2 spread-member...")
	member.Close()
	x.run(t, tool(groupCommand+"--delete --group spread-0 --group spread-2"), "Deletion of requested consumer groups ('spread-0', 'spread-2') was successful.")
}

// toolsWithoutANode asks while node 3 is gone.
func toolsWithoutANode(t *testing.T, x *toolbox, c *cluster) {
	c.node(3).stop()
	x.soon(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 0, 1, "1,2,3", "1,2"),
		placedRow("placed", 1, 2, "2,3,1", "2,1"), placedRow("placed", 2, 1, "3,1,2", "1,2"), placedRow("placed", 3, 2, "2,1,3", "2,1"))
	x.soon(t, tool("TopicCommand --describe --under-replicated-partitions"), placedRow("placed", 0, 1, "1,2,3", "1,2"),
		placedRow("strict", 0, 1, "1,2,3", "1,2"), "Topic: single Partition: 0 Leader: none ...")
	x.run(t, tool("TopicCommand --describe --unavailable-partitions"), "Topic: single Partition: 0 Leader: none Replicas: 3 Isr: Elr: 3 LastKnownElr: 3")
	x.run(t, tool("TopicCommand --describe --under-min-isr-partitions"), placedRow("strict", 0, 1, "1,2,3", "1,2"))
	out := x.run(t, tool("TopicCommand --describe --at-min-isr-partitions"), placedRow("placed", 2, 1, "3,1,2", ""))
	if strings.Contains(out, "strict") {
		t.Errorf("fewer than the least in sync are not as many as that:\n%s", out)
	}
	host, port, _ := strings.Cut(c.node(3).addr, ":")
	x.run(t, tool("ClusterTool list-endpoints --include-fenced-brokers"), fmt.Sprintf("3 %s %s null fenced broker", host, port))
	if out := x.run(t, tool("ClusterTool list-endpoints")); strings.Contains(out, port) {
		t.Errorf("a node that is gone is listed:\n%s", out)
	}
	x.refused(t, tool("LeaderElectionCommand --election-type preferred --topic placed --partition 2"), "placed-2")
	x.run(t, tool("GetOffsetShell --topic placed"), "placed:0:3", "placed:1:2", "placed:2:2", "placed:3:0")
	x.run(t, describeGroup("spread-3"), "spread-3 placed 0 1 3 2 - - -")
	c.node(3).start()
	c.whole()
	for _, faulty := range faultyPartitions {
		if out := x.run(t, tool("TopicCommand --describe "+faulty)); strings.Contains(out, "placed") || faulty != "--at-min-isr-partitions" && out != "" {
			t.Errorf("%s when all are back:\n%s", faulty, out)
		}
	}
}

// toolsThatElect gives leadership back to the first replica, each time after it has gone from node 3.
func toolsThatElect(t *testing.T, x *toolbox, c *cluster) {
	file := func(partitions ...int) string {
		var rows []map[string]any
		for _, p := range partitions {
			rows = append(rows, map[string]any{"topic": "placed", "partition": p})
		}
		text, err := json.Marshal(map[string]any{"partitions": rows})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "elect.json")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elect := "LeaderElectionCommand --election-type preferred "
	x.run(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 2, 1, "3,1,2", ""))
	x.run(t, tool(elect+"--topic placed --partition 2"), "Successfully completed leader election (PREFERRED) for partitions placed-2")
	x.soon(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 2, 3, "3,1,2", ""))
	x.run(t, tool(elect+"--topic placed --partition 2"), "Valid replica already elected for partitions placed-2")
	for _, how := range [][]string{tool(elect+"--path-to-json-file", file(0, 2)), tool(elect + "--all-topic-partitions")} {
		c.node(3).stop()
		c.node(3).start()
		c.whole()
		x.soon(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 2, 1, "3,1,2", ""))
		out := x.run(t, how)
		if !strings.Contains(out, "Successfully completed leader election (PREFERRED) for partitions ") || !strings.Contains(out, "placed-2") {
			t.Errorf("%s:\n%s", strings.Join(how, " "), out)
		}
		x.soon(t, tool("TopicCommand --describe --topic placed"), placedRow("placed", 2, 3, "3,1,2", ""))
	}
	x.run(t, tool("LeaderElectionCommand --election-type unclean --topic placed --partition 2"), "Valid replica already elected for partitions placed-2")
}
