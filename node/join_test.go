package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streambus/streambus/internal/env"
)

// clusterAddr is where other nodes reach one.
func clusterAddr(t *testing.T, n *Node) string {
	t.Helper()
	s, err := n.quorum.Describe()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(s.Voters, s.Observers...) {
		if m.ID == n.set.nodeID {
			return m.Address
		}
	}
	t.Fatalf("node %d is not in %+v", n.set.nodeID, s)
	return ""
}

func TestNodesJoinWithTheRolesThatTheyHave(t *testing.T) {
	first := startNode(t, env.NewMem(), "node.id=1")
	join := "controller.quorum.bootstrap.servers=" + clusterAddr(t, first)
	startNode(t, env.NewMem(), "node.id=2", join)
	broker := startNode(t, env.NewMem(), "node.id=3", "process.roles=broker", join)
	startNode(t, env.NewMem(), "node.id=4", "process.roles=controller", "listeners=CONTROLLER://127.0.0.1:0", join)
	if n, err := tryNode(t, env.NewMem(), "node.id=3", join); err == nil {
		stopNode(t, n)
		t.Error("a node id was given twice")
	}
	admin := kadm.NewClient(client(t, broker))
	meta, err := admin.Metadata(t.Context())
	if err != nil || len(meta.Brokers) != 3 || meta.Cluster != first.dirs[0].dir.ClusterID() {
		t.Fatalf("%+v, %v", meta.Brokers, err)
	}
	if _, err := admin.CreateTopic(t.Context(), 3, 3, nil, "asked-of-an-observer"); err != nil {
		t.Fatal(err)
	}
	s, err := broker.quorum.Describe()
	if err != nil || len(s.Voters)+len(s.Observers) != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, m := range s.Voters {
		if m.ID == 3 {
			t.Error("a node that is no controller votes")
		}
	}
}

func TestBrokerAloneNeedsControllersToJoin(t *testing.T) {
	if n, err := tryNode(t, env.NewMem(), "process.roles=broker"); err == nil || !strings.Contains(err.Error(), "--join") {
		t.Errorf("%v", err)
		if n != nil {
			stopNode(t, n)
		}
	}
}
