package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const groupCommand = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "

func describeGroup(group string, more ...string) []string {
	return tool(groupCommand+"--describe --group "+group, more...)
}

// commitAs leaves a group with these offsets and no member.
func (x *toolbox) commitAs(t *testing.T, group, topic string, offsets ...int64) {
	t.Helper()
	var all kadm.Offsets
	for p, offset := range offsets {
		all.AddOffset(topic, int32(p), offset, -1)
	}
	if err := kadm.NewClient(openClient(t, x.sys)).CommitAllOffsets(t.Context(), group, all); err != nil {
		t.Fatal(err)
	}
}

func toolsOfGroups(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "grouped", 2)
	x.send(t, "grouped", 2, "a", "b", "c", "d", "e")
	x.commitAs(t, "tools", "grouped", 1, 2)
	x.run(t, tool(groupCommand+"--list"), "tools")
	x.run(t, tool(groupCommand+"--list --state"), "GROUP STATE", "tools Empty")
	x.run(t, tool(groupCommand+"--list --type"), "GROUP TYPE", "tools Classic")
	if out := x.run(t, tool(groupCommand+"--list --state stable")); hasLine(out, "tools Stable") || hasLine(out, "tools Empty") {
		t.Errorf("an empty group is among the stable ones:\n%s", out)
	}
	x.run(t, describeGroup("tools"), "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID",
		"tools grouped 0 1 3 2 - - -", "tools grouped 1 2 2 0 - - -")
	coordinator := x.b.addr + " (" + x.node(t) + ")"
	x.run(t, describeGroup("tools", "--state"), "tools "+coordinator+" - Empty 0")
	x.refused(t, describeGroup("tools", "--members"), "Consumer group 'tools' has no active members.")
	x.refused(t, describeGroup("nobody"), "Group nobody not found.")

	member := openClient(t, x.sys, kgo.ClientID("tools-member"), kgo.ConsumerGroup("tools"), kgo.ConsumeTopics("grouped"),
		kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit())
	x.soon(t, describeGroup("tools", "--state"), "tools "+coordinator+" range Stable 1")
	x.run(t, tool(groupCommand+"--list --state stable"), "tools Stable")
	out := x.run(t, describeGroup("tools", "--members", "--verbose"))
	if !strings.Contains(out, "tools-member") || !strings.Contains(out, "/127.0.0.1") || !strings.Contains(out, "grouped:0,1") {
		t.Errorf("the member does not show as it is:\n%s", out)
	}
	out = x.run(t, describeGroup("tools"), "tools grouped 0 1 3 2 ...", "tools grouped 1 2 2 0 ...")
	if strings.Count(out, "tools-member") < 2 {
		t.Errorf("the partitions are not the member's:\n%s", out)
	}
	x.refused(t, tool(groupCommand+"--delete --group tools"), "The group is not empty.")
	x.refused(t, tool(groupCommand+"--reset-offsets --group tools --topic grouped --to-earliest --execute"),
		"can only be reset if the group 'tools' is inactive")
	x.refused(t, tool(groupCommand+"--delete-offsets --group tools --topic grouped:0"), "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.")
	member.Close()

	x.soon(t, describeGroup("tools", "--state"), "tools "+coordinator+" - Empty 0")
	x.run(t, tool(groupCommand+"--delete-offsets --group tools --topic grouped:0"),
		"Request succeeded for deleting offsets from group tools.", "grouped 0 Successful")
	if out := x.run(t, describeGroup("tools"), "tools grouped 1 2 2 0 - - -"); strings.Contains(out, "grouped 0 ") {
		t.Errorf("a deleted offset is still there:\n%s", out)
	}
	x.run(t, tool(groupCommand+"--delete --group tools"), "Deletion of requested consumer groups ('tools') was successful.")
	x.refused(t, tool(groupCommand+"--delete --group tools"), "The group id does not exist.")
	if out := x.run(t, tool(groupCommand+"--list")); hasLine(out, "tools") {
		t.Error("the group is still there")
	}
}

func toolsResetOffsets(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "reset", 2)
	// Three records now and two that are clearly later, so that a time lies between them.
	x.send(t, "reset", 2, "a", "b", "c")
	later := time.Now().Add(time.Minute).Truncate(time.Second)
	client := openClient(t, x.sys, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(2) {
		r := &kgo.Record{Topic: "reset", Partition: p, Value: []byte("later"), Timestamp: later}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	x.commitAs(t, "resetting", "reset", 1, 1)
	reset := groupCommand + "--reset-offsets --group resetting --topic reset "
	between := later.Add(-10 * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	for _, how := range []struct {
		by    string
		zero  int
		first int
	}{
		{"--to-earliest", 0, 0},
		{"--to-latest", 3, 2},
		{"--to-current", 1, 1},
		{"--to-offset 2", 2, 2},
		{"--to-offset 100", 3, 2},
		{"--shift-by 1", 2, 2},
		{"--shift-by -5", 0, 0},
		{"--to-datetime " + between, 2, 1},
		{"--by-duration PT1H", 0, 0},
	} {
		want := []string{fmt.Sprintf("resetting reset 0 %d", how.zero), fmt.Sprintf("resetting reset 1 %d", how.first)}
		x.run(t, tool(reset+how.by+" --dry-run"), want...)
	}
	x.run(t, describeGroup("resetting"), "resetting reset 0 1 3 2 - - -", "resetting reset 1 1 2 1 - - -")
	x.run(t, tool(reset+"--to-latest --execute"), "resetting reset 0 3", "resetting reset 1 2")
	x.run(t, describeGroup("resetting"), "resetting reset 0 3 3 0 - - -", "resetting reset 1 2 2 0 - - -")
	x.run(t, tool(groupCommand+"--reset-offsets --group resetting --topic reset:1 --to-earliest --execute"), "resetting reset 1 0")
	x.run(t, describeGroup("resetting"), "resetting reset 0 3 3 0 - - -", "resetting reset 1 0 2 2 - - -")

	exported := x.run(t, tool(groupCommand+"--reset-offsets --group resetting --all-topics --to-current --export --dry-run"), "reset,0,3", "reset,1,0")
	file := filepath.Join(t.TempDir(), "offsets.csv")
	if err := os.WriteFile(file, []byte(strings.Replace(exported, "reset,0,3", "reset,0,2", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	x.run(t, tool(groupCommand+"--reset-offsets --group resetting --execute --from-file", file), "resetting reset 0 2", "resetting reset 1 0")
	x.run(t, describeGroup("resetting"), "resetting reset 0 2 3 1 - - -", "resetting reset 1 0 2 2 - - -")
	x.run(t, tool(groupCommand+"--reset-offsets --group brand-new --topic reset --to-offset 1 --execute"), "brand-new reset 0 1", "brand-new reset 1 1")
	x.run(t, describeGroup("brand-new"), "brand-new reset 0 1 3 2 - - -")
}
