package partition

import (
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Status is a partition at one moment, for metrics and admin requests.
type Status struct {
	HighWatermark kafkaproto.Offset
	LastStable    kafkaproto.Offset
	Start         kafkaproto.Offset // log start offset
	End           kafkaproto.Offset // next offset to be assigned
	Written       kafkaproto.Offset
	Flushed       kafkaproto.Offset
	Leader        int32 // -1: none
	LeaderEpoch   kafkaproto.LeaderEpoch
	Leading       bool  // by this node
	Size          int64 // bytes; finding it reads the index
	Err           error // why nothing is served here, nil if it is
}

// Status says where the partition stands.
func (p *Partition) Status() Status {
	v := p.look(kafkaproto.NoLeaderEpoch)
	ends := p.log().Ends()
	return Status{
		HighWatermark: v.high, LastStable: p.lastStable(v.high), Start: ends.Start, End: ends.Next,
		Written: ends.Written, Flushed: ends.Flushed, Leader: v.holder.id, LeaderEpoch: v.holder.epoch,
		Leading: v.err == nil, Size: p.log().Size(), Err: v.err,
	}
}

// newPartition makes a partition over its log, led by nobody yet.
func (m *Manager) newPartition(id kafkaproto.TopicPartition, at stored, t *topic) *Partition {
	p := &Partition{
		id: id, manager: m, gone: notLeader, start: at.log.Ends().Start, remembered: at.log.HighWatermark(),
		holder: leaderHint{controller.NoLeader, kafkaproto.NoLeaderEpoch},
	}
	p.at.Store(&at)
	p.topic.Store(t)
	at.log.SetListener(p.logMoved)
	return p
}
