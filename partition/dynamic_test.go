package partition

import (
	"testing"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
)

// setOnBrokers does what a node does when something is set on all brokers.
func (n *testNode) setOnBrokers(key, value string) {
	n.t.Helper()
	if bad := n.manager.config.SetDynamic(config.Dynamic{Cluster: map[string]string{key: value}}); bad != nil {
		n.t.Fatal(bad)
	}
	n.happen(&controller.ConfigChanged{Resource: controller.ConfigResource{Kind: controller.BrokerConfig}, Key: key, Value: &value})
}

func TestBrokersDefaultsReachTheLogsOfTopicsWithoutTheirOwn(t *testing.T) {
	n := startNode(t, "always")
	plain, own := n.one("plain"), n.one("own", "retention.ms", "-1")
	for _, p := range []*Partition{plain, own} {
		n.send(p, -1, batch("a")).waitOK()
	}
	n.restart()
	plain, own = n.partition(plain.id.Topic, 0), n.partition(own.id.Topic, 0)
	for _, p := range []*Partition{plain, own} {
		n.send(p, -1, batch("b")).waitOK()
	}
	epoch := plain.Status().LeaderEpoch
	n.clock.Advance(time.Hour)
	n.must(n.engine.Retain())
	if start := plain.Status().Start; start != 0 {
		t.Fatalf("it starts at %d before anything was set", start)
	}
	n.setOnBrokers("log.retention.ms", "1")
	n.must(n.engine.Retain())
	if start := plain.Status().Start; start < 1 {
		t.Errorf("it starts at %d", start)
	}
	if start := own.Status().Start; start != 0 {
		t.Errorf("the one with its own value starts at %d", start)
	}
	if s := plain.Status(); !s.Leading || s.LeaderEpoch != epoch {
		t.Errorf("%+v", s)
	}
}

func TestAlteredTopicConfigsReachTheLogAndTheRules(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	n.restart()
	p = n.partition(p.id.Topic, 0)
	n.send(p, -1, batch("b")).waitOK()
	n.clock.Advance(time.Hour)
	n.happen(setConfigs("t", "retention.ms", "1", "cleanup.policy", "compact", "min.insync.replicas", "2")...)
	n.must(n.engine.Retain())
	if start := p.Status().Start; start != 0 {
		t.Errorf("a compacted topic starts at %d", start)
	}
	if c := p.topic.Load().config; !c.CleanupCompact || c.CleanupDelete || c.MinInSyncReplicas != 2 {
		t.Errorf("%+v", c)
	}
	n.happen(setConfigs("t", "cleanup.policy", "compact,delete")...)
	n.must(n.engine.Retain())
	if start := p.Status().Start; start < 1 {
		t.Errorf("it starts at %d", start)
	}
}
