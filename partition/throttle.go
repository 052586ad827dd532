package partition

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/kafkaproto"
)

// throttle limits what replicas that lag may transfer, so that a new one leaves room for producers: as in Kafka those that the
// topic's *.replication.throttled.replicas name, at the broker's *.replication.throttled.rate, and never one that has caught up.
// It holds a second's worth of bytes; a transfer may overdraw it, and the next waits until that is made good.
type throttle struct {
	mu   sync.Mutex
	rate float64 // bytes a second; +Inf: no limit
	left float64
	last time.Time
}

func (t *throttle) set(rate int64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := float64(rate)
	if rate == math.MaxInt64 {
		r = math.Inf(1)
	}
	if r != t.rate {
		t.rate, t.left, t.last = r, r, now
	}
}

// wait is how long the next transfer has to wait; 0: it may go. Where the rate is 0 nothing ever goes; it is asked again.
func (t *throttle) wait(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refill(now)
	switch {
	case t.left > 0 || math.IsInf(t.rate, 1):
		return 0
	case t.rate == 0:
		return time.Second
	}
	return min(max(time.Duration((1-t.left)/t.rate*float64(time.Second)), time.Millisecond), time.Second)
}

// took counts bytes that were transferred.
func (t *throttle) took(n int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !math.IsInf(t.rate, 1) {
		t.refill(now)
		t.left -= float64(n)
	}
}

func (t *throttle) refill(now time.Time) {
	if d := now.Sub(t.last); d > 0 && !math.IsInf(t.rate, 1) {
		t.left = min(t.left+t.rate*d.Seconds(), t.rate)
	}
	t.last = now
}

// throttleRate reads one of the rates, which a broker has only while it runs.
func throttleRate(c *config.Config, name string) int64 {
	d := c.Dynamic()
	for _, set := range []map[string]string{d.Broker, d.Cluster} {
		if v, ok := set[name]; ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
				return n
			}
		}
	}
	return math.MaxInt64
}

// setThrottles takes the rates as they are set now.
func (m *Manager) setThrottles() {
	now := m.now()
	m.incoming.set(throttleRate(m.config, "follower.replication.throttled.rate"), now)
	m.outgoing.set(throttleRate(m.config, "leader.replication.throttled.rate"), now)
	m.moving.set(throttleRate(m.config, "replica.alter.log.dirs.io.max.bytes.per.second"), now)
}

// replicaNames are the replicas that a list of partition:broker pairs names, or all.
type replicaNames struct {
	all   bool
	named map[replicaName]bool
}

type replicaName struct {
	partition kafkaproto.PartitionID
	broker    int32
}

func newReplicaNames(list []string) replicaNames {
	if slices.Contains(list, "*") {
		return replicaNames{all: true}
	}
	named := make(map[replicaName]bool, len(list))
	for _, pair := range list {
		if p, b, ok := cutPair(pair); ok {
			named[replicaName{kafkaproto.PartitionID(p), b}] = true
		}
	}
	return replicaNames{named: named}
}

func cutPair(s string) (partition, broker int32, ok bool) {
	left, right, _ := strings.Cut(s, ":")
	p, err := strconv.ParseInt(left, 10, 32)
	b, also := strconv.ParseInt(right, 10, 32)
	return int32(p), int32(b), err == nil && also == nil
}

func (r replicaNames) has(p kafkaproto.PartitionID, broker int32) bool {
	return r.all || r.named[replicaName{p, broker}]
}

// held is how long a follower that lags has to wait before it may fetch a throttled replica again.
func (f *following) held(now time.Time) time.Duration {
	if !f.throttled() {
		return 0
	}
	return f.p.manager.incoming.wait(now)
}

// throttled says whether the replica is throttled here, and lags.
func (f *following) throttled() bool {
	p := f.p
	if !p.topic.Load().heldIn.has(p.id.Partition, p.manager.nodeID) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return f.f.Behind()
}

// heldBack says whether a replica that lags may read nothing now. counts says whether what it reads has to be counted.
func (p *Partition) heldBack(r *ReadRequest) (held, counts bool) {
	if !p.topic.Load().heldOut.has(p.id.Partition, p.manager.nodeID) {
		return false, false
	}
	p.mu.Lock()
	inSync := p.insync != nil && slices.Contains(p.insync.isr.Members(), r.ReplicaID)
	p.mu.Unlock()
	if inSync {
		return false, false
	}
	return p.manager.outgoing.wait(p.manager.now()) > 0, true
}
