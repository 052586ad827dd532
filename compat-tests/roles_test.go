package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestControllersAndBrokersOfTheirOwn starts what a Kafka user has who keeps controllers apart: three server.properties with
// process.roles=controller and three with process.roles=broker. Then a fourth broker comes.
func TestControllersAndBrokersOfTheirOwn(t *testing.T) {
	needJava(t)
	controllers := &cluster{t: t}
	brokers := &cluster{t: t}
	for id := 101; id <= 103; id++ {
		controllers.nodes = append(controllers.nodes, prepareBroker(t, id))
	}
	voters := votersOf(controllers.nodes)
	for _, b := range controllers.nodes {
		b.withProperties("process.roles=controller", "controller.quorum.voters="+voters, "listeners=CONTROLLER://"+b.cluster,
			"controller.listener.names=CONTROLLER")
	}
	addBroker := func(id int) *broker {
		b := prepareBroker(t, id)
		b.withProperties("process.roles=broker", "controller.quorum.voters="+voters, "listeners=PLAINTEXT://"+b.addr,
			"advertised.listeners=PLAINTEXT://"+b.addr, "controller.listener.names=CONTROLLER", "min.insync.replicas=2",
			"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "inter.broker.listener.name=PLAINTEXT")
		brokers.nodes = append(brokers.nodes, b)
		return b
	}
	for id := 1; id <= 3; id++ {
		addBroker(id)
	}
	for _, b := range controllers.nodes {
		b.exec()
	}
	brokers.start()
	x := startTools(t, brokers)
	x.run(t, tool("TopicCommand --create --topic roles --partitions 3 --replication-factor 3"), "Created topic roles.")
	settle(t, brokers, "roles")
	x.send(t, "roles", 3, "a", "b", "c", "d", "e")
	seeQuorum(t, x, controllers, brokers)

	addBroker(4).start()
	brokers.whole()
	x.run(t, tool("TopicCommand --create --topic moved --replica-assignment 4:1:2"), "Created topic moved.")
	settle(t, brokers, "moved")
	seeQuorum(t, x, controllers, brokers)
	x.send(t, "moved", 1, "on the fourth")

	active := x.activeController(t)
	for _, b := range controllers.nodes {
		if b.id == active {
			b.kill9()
			x.soon(t, tool("TopicCommand --create --if-not-exists --topic after --partitions 4 --replication-factor 3"))
			b.exec()
		}
	}
	brokers.node(4).stop() // and comes back at another port of its own choice
	x.soon(t, tool("TopicCommand --describe --topic moved"), placedRow("moved", 0, 1, "4,1,2", "1,2"))
	brokers.node(4).start()
	brokers.whole()
	seeQuorum(t, x, controllers, brokers)
	for r := range records(t, brokers, "moved", []int64{1}) {
		if string(r.Value) != "on the fourth" {
			t.Errorf("the topic has %q", r.Value)
		}
	}
	openClient(t, brokers, kgo.ConsumerGroup("roles")).Close()
}

// seeQuorum wants the tools to show the controllers as voters and the brokers as observers, and to list brokers alone.
func seeQuorum(t *testing.T, x *toolbox, controllers, brokers *cluster) {
	t.Helper()
	var rows, endpoints []string
	for _, b := range controllers.nodes {
		rows = append(rows, fmt.Sprintf("%d ...", b.id))
	}
	for _, b := range brokers.nodes {
		rows = append(rows, fmt.Sprintf("%d ...", b.id))
		host, port, _ := strings.Cut(b.addr, ":")
		endpoints = append(endpoints, fmt.Sprintf("%d %s %s null unfenced broker", b.id, host, port))
	}
	x.run(t, tool("ClusterTool list-endpoints"), endpoints...)
	x.soon(t, tool("MetadataQuorumCommand describe --replication"), rows...)
	out := x.run(t, tool("MetadataQuorumCommand describe --replication"))
	if n := strings.Count(out, "Observer"); n != len(brokers.nodes) {
		t.Errorf("%d observers of %d:\n%s", n, len(brokers.nodes), out)
	}
	out = x.run(t, tool("MetadataQuorumCommand describe --status"))
	for _, b := range controllers.nodes {
		if !strings.Contains(out, fmt.Sprintf(`{"id": %d, `, b.id)) || !strings.Contains(out, "CONTROLLER://"+b.cluster) {
			t.Errorf("controller %d at %s is not in\n%s", b.id, b.cluster, out)
		}
	}
}

// activeController is the leader of the metadata quorum.
func (x *toolbox) activeController(t *testing.T) int {
	t.Helper()
	out := x.run(t, tool("MetadataQuorumCommand describe --status"))
	for line := range strings.Lines(out) {
		var id int
		if n, _ := fmt.Sscanf(line, "LeaderId: %d", &id); n == 1 {
			return id
		}
	}
	t.Fatalf("no leader in\n%s", out)
	return 0
}

// withProperties has the broker start from a server.properties, as Kafka does.
func (b *broker) withProperties(lines ...string) {
	b.t.Helper()
	b.properties = filepath.Join(filepath.Dir(b.dir), "server.properties")
	lines = append(lines, fmt.Sprintf("node.id=%d", b.id), "log.dirs="+b.dir)
	if err := os.WriteFile(b.properties, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		b.t.Fatal(err)
	}
	if againstKafka {
		b.formatStorage(b.properties)
	}
}
