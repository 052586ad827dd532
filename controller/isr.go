package controller

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

func (d *decision) alterPartition(c AlterPartition) ([]AlterPartitionAnswer, error) {
	if _, err := d.knownBroker(c.BrokerID, c.BrokerEpoch); err != nil {
		return nil, err
	}
	seen := map[kafkaproto.TopicPartition]bool{}
	answers := make([]AlterPartitionAnswer, len(c.Partitions))
	for i, row := range c.Partitions {
		answers[i].ID = row.ID
		t, p, err := d.checkAlter(c.BrokerID, row)
		if err == nil && seen[row.ID] {
			err = kafkaproto.ErrInvalidRequest.With("The partition is named more than once.")
		}
		if err != nil {
			answers[i].Err = err
			continue
		}
		seen[row.ID] = true
		answers[i].Partition = d.alterISR(t, p, row)
	}
	return answers, nil
}

// checkAlter is what makes a leader's proposal valid (KIP-497, KIP-841, KIP-903).
func (d *decision) checkAlter(leader int32, row AlterPartitionRow) (*Topic, *Partition, error) {
	t, ok := d.img.TopicByID(row.ID.Topic)
	if !ok {
		return nil, nil, kafkaproto.ErrUnknownTopicID
	}
	if row.ID.Partition < 0 || int(row.ID.Partition) >= len(t.Partitions) {
		return nil, nil, kafkaproto.ErrUnknownTopicOrPartition
	}
	p := t.Partitions[row.ID.Partition]
	switch {
	case row.LeaderEpoch > p.LeaderEpoch || row.PartitionEpoch > p.PartitionEpoch:
		return nil, nil, kafkaproto.ErrNotController // it has seen what this controller has not: a newer one exists
	case row.LeaderEpoch < p.LeaderEpoch:
		return nil, nil, kafkaproto.ErrFencedLeaderEpoch
	case leader != p.Leader:
		return nil, nil, kafkaproto.ErrInvalidRequest
	case row.PartitionEpoch < p.PartitionEpoch:
		return nil, nil, kafkaproto.ErrInvalidUpdateVersion
	}
	return t, p, d.checkISR(p, row.ISR)
}

func (d *decision) checkISR(p *Partition, isr []ISRMember) error {
	hasLeader := false
	for i, m := range isr {
		known := slices.Contains(p.Replicas, m.ID)
		twice := slices.ContainsFunc(isr[:i], func(o ISRMember) bool { return o.ID == m.ID })
		if !known || twice {
			return kafkaproto.ErrInvalidRequest
		}
		hasLeader = hasLeader || m.ID == p.Leader
	}
	if !hasLeader {
		return kafkaproto.ErrInvalidRequest
	}
	for _, m := range isr {
		b, ok := d.img.Broker(m.ID)
		if !ok || !b.Active() && m.ID != p.Leader || m.Epoch != -1 && m.Epoch != b.Epoch {
			return kafkaproto.ErrIneligibleReplica
		}
	}
	return nil
}

func (d *decision) alterISR(t *Topic, p *Partition, row AlterPartitionRow) *Partition {
	isr := make([]int32, len(row.ISR))
	for i, m := range row.ISR {
		isr[i] = m.ID
	}
	if slices.Equal(isr, p.ISR) {
		return p
	}
	n := *p
	n.ISR = isr
	if d.img.Features()[EligibleReplicas] > 0 {
		n.ISR, n.ELR, n.LastKnownELR = eligibleReplicas(p, isr, NoLeader, false, rulesOf(d.img, d.defaults, t).minISR)
	}
	n.PartitionEpoch++
	d.emit(&PartitionChanged{Topic: t.ID, Partition: n})
	return &n
}

// replicasDamaged takes what a broker has lost records of from it, where another replica can lead. Each of these partitions
// gets a new leader epoch, also where the leader stays: what the leader has heard of that replica's log is not true any more, and
// a fetch of before that is still on its way must not count.
func (d *decision) replicasDamaged(c ReplicasDamaged) error {
	if _, err := d.knownBroker(c.BrokerID, c.BrokerEpoch); err != nil {
		return err
	}
	e := d.election()
	e.gone, e.forgot, e.staying = c.BrokerID, true, true
	seen := map[kafkaproto.TopicPartition]bool{}
	for _, id := range c.Partitions {
		t, ok := d.img.TopicByID(id.Topic)
		p, also := d.img.Partition(id)
		other := func(r int32) bool { return r != c.BrokerID && e.active(r) }
		if !ok || !also || seen[id] || !slices.Contains(p.Replicas, c.BrokerID) || !slices.ContainsFunc(p.ISR, other) && !slices.ContainsFunc(p.ELR, other) {
			continue
		}
		seen[id] = true
		next := e.next(p, rulesOf(d.img, d.defaults, t))
		if next == nil && p.Leader != c.BrokerID && p.Leader != NoLeader {
			same := *p
			same.PartitionEpoch++
			next = &same
		}
		if next == nil {
			continue
		}
		if next.LeaderEpoch == p.LeaderEpoch {
			next.LeaderEpoch++
		}
		d.emit(&PartitionChanged{Topic: id.Topic, Partition: *next})
	}
	return nil
}
