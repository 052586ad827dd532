package partition

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

// A leader that the controller has not heard for a session's time may have been replaced: it takes no writes, but what is
// committed can be read.
func TestALeaderWhoseLeaseIsOverTakesNoWrites(t *testing.T) {
	c := startCluster(t, "always")
	id := kafkaproto.TopicPartition{Topic: c.topic("orders", 1)}
	c.mustProduce(id, "one")
	var until atomic.Pointer[time.Time]
	set := func(d time.Duration) { at := time.Now().Add(d); until.Store(&at) }
	set(-time.Second)
	m := c.nodes[c.state(id).Leader].manager
	m.lease = func() time.Time { return *until.Load() }
	for _, acks := range []int16{replication.AcksAll, replication.AcksLeader} {
		if got := c.produceTo(c.state(id).Leader, id, acks, batch("two")); kafkaproto.Code(got.Err) != kafkaproto.ErrNotLeaderOrFollower.Num {
			t.Errorf("acks=%d: %v", acks, got.Err)
		}
	}
	p := c.on(c.state(id).Leader, id)
	if _, _, err := p.AppendRecords(CoordinatorAppend{Records: batch("three"), Epoch: c.state(id).LeaderEpoch, Written: func(error) {}}); kafkaproto.Code(err) != kafkaproto.ErrNotLeaderOrFollower.Num {
		t.Errorf("a coordinator: %v", err)
	}
	read := p.Read(ReadRequest{Offset: 0, MaxBytes: 1 << 20, MinOneBatch: true, ReplicaID: -1, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1})
	if read.Err != nil || read.Read.Bytes == 0 {
		t.Errorf("reading: %+v", read)
	}
	read.Read.Release()
	set(time.Hour)
	if got := c.mustProduce(id, "four"); got != 1 {
		t.Errorf("the next record went to offset %d", got)
	}
}

// Where there is no other replica, nobody else can lead, and there is nothing to wait for.
func TestALeaseDoesNotMatterToASingleReplica(t *testing.T) {
	c := startCluster(t, "always")
	id := kafkaproto.TopicPartition{Topic: c.topicOn("alone", 1)}
	c.nodes[1].manager.lease = func() time.Time { return time.Time{} }
	c.mustProduce(id, "one")
}
