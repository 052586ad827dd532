package partition

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/kafkaproto"
)

func TestAThrottleLetsPassWhatItsRateAllows(t *testing.T) {
	now := time.Unix(1000, 0)
	var th throttle
	th.set(1000, now)
	if th.wait(now) != 0 {
		t.Error("nothing passes at first")
	}
	th.took(3000, now) // more than there is: what comes next waits for it
	if got := th.wait(now); got != time.Second {
		t.Errorf("waits %v", got) // no longer, for the rate may be raised meanwhile
	}
	if got := th.wait(now.Add(1500 * time.Millisecond)); got < 400*time.Millisecond || got > 600*time.Millisecond {
		t.Errorf("half a second before it is made good it waits %v", got)
	}
	if got := th.wait(now.Add(2100 * time.Millisecond)); got != 0 {
		t.Errorf("then it waits %v", got)
	}
	th.took(1<<20, now.Add(3*time.Second))
	th.set(math.MaxInt64, now.Add(3*time.Second))
	if got := th.wait(now.Add(3 * time.Second)); got != 0 {
		t.Errorf("without a limit it waits %v", got)
	}
	th.set(0, now.Add(4*time.Second))
	if got := th.wait(now.Add(time.Hour)); got == 0 {
		t.Error("something passes at a rate of 0")
	}
}

func TestReplicasAreThrottledByName(t *testing.T) {
	r := newReplicaNames([]string{"0:1", "3:2"})
	if !r.has(0, 1) || !r.has(3, 2) || r.has(0, 2) || r.has(1, 1) {
		t.Errorf("%+v", r)
	}
	if r := newReplicaNames([]string{"*"}); !r.has(7, 9) {
		t.Error("* names all")
	}
	if r := newReplicaNames(nil); r.has(0, 1) {
		t.Error("nothing names none")
	}
}

// A replica that lags catches up no faster than it may, while producing goes on; one that is in sync is never held.
func TestAReplicaThatLagsIsThrottled(t *testing.T) {
	for _, side := range []string{"follower", "leader"} {
		t.Run(side, func(t *testing.T) {
			c := startCluster(t, "always", "replica.fetch.max.bytes=65536")
			topic := c.topic("orders", 1, side+".replication.throttled.replicas", "*")
			id := kafkaproto.TopicPartition{Topic: topic}
			c.mustProduce(id, "one")
			c.inSync(id, 3)
			lead := c.state(id).Leader
			lagging := lead%3 + 1
			for _, n := range c.nodes[1:] {
				n.manager.config.SetDynamic(config.Dynamic{Broker: map[string]string{side + ".replication.throttled.rate": "300000"}})
				n.manager.setThrottles()
			}
			c.nodes[lagging].crash(false)
			for range 16 {
				c.mustProduce(id, strings.Repeat("x", 60_000)) // the other one keeps up at once, though it would take more than three seconds
			}
			began := time.Now()
			c.nodes[lagging].start() // it may fetch something before it is throttled
			c.nodes[lagging].manager.config.SetDynamic(config.Dynamic{Broker: map[string]string{side + ".replication.throttled.rate": "300000"}})
			c.nodes[lagging].manager.setThrottles()
			c.mustProduce(id, "two")
			c.inSync(id, 3)
			if took := time.Since(began); took < 700*time.Millisecond {
				t.Errorf("960 KB at 300 KB/s, with a second's worth at once, took %v", took)
			}
		})
	}
}
