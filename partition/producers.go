package partition

import (
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// Producers lists the producers that the partition remembers, idle ones too. Only the leader tells: the errors are those
// of a request that it does not serve.
func (p *Partition) Producers() ([]log.ProducerState, error) {
	if v := p.look(kafkaproto.NoLeaderEpoch); v.err != nil {
		return nil, v.err
	}
	return p.log().Producers(), nil
}

// Size is how many bytes the partition takes; finding it reads the index.
func (p *Partition) Size() int64 { return p.log().Size() }
