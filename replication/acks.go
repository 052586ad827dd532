package replication

import (
	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
)

// The values of a produce request's acks.
const (
	AcksNone   int16 = 0
	AcksLeader int16 = 1
	AcksAll    int16 = -1
)

// Admit says whether an append with these acks may begin: INVALID_REQUIRED_ACKS for values that don't exist,
// NOT_ENOUGH_REPLICAS when acks=all could not be kept.
func (l *Leader) Admit(acks int16) error {
	switch acks {
	case AcksNone, AcksLeader:
		return nil
	case AcksAll:
		if l.underMinInSync() {
			return kafkaproto.ErrNotEnoughReplicas.With("the ISR has %d members, min.insync.replicas is %d", l.inSync, l.rules.MinInSync)
		}
		return nil
	default:
		return kafkaproto.ErrInvalidRequiredAcks.With("acks must be -1, 0 or 1, not %d", acks)
	}
}

// Target is the end up to which appends with these acks may be answered now: an append whose next offset is at or
// below it has what it asked for. acks=0 waits for nothing, acks=1 for the leader's own end (flushed under `always`),
// acks=all for the high watermark and for what the ISR holds now: a retry of a record that was visible before the topic
// asked for durability is not answered until the record is durable.
func (l *Leader) Target(acks int16) kafkaproto.Offset {
	if acks == AcksAll {
		if planted.Is(planted.AcksBeforeFlush) {
			return l.lowestWritten()
		}
		return min(l.high, l.held)
	}
	return l.End()
}

// Outcome is the answer to an append with these acks that has reached its target: NOT_ENOUGH_REPLICAS_AFTER_APPEND if
// the ISR has shrunk below min.insync.replicas meanwhile. The records stay in either case.
func (l *Leader) Outcome(acks int16) error {
	if acks == AcksAll && l.underMinInSync() {
		return kafkaproto.ErrNotEnoughReplicasAfterAppend
	}
	return nil
}

// lowestWritten is of planted.AcksBeforeFlush.
func (l *Leader) lowestWritten() kafkaproto.Offset {
	durable := l.rules.Durable
	l.rules.Durable = false
	defer func() { l.rules.Durable = durable }()
	return l.lowest(true)
}
