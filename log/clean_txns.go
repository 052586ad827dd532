package log

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

var errAbortNotListed = errors.New("the transaction that a marker aborts is not among the aborted ones")

// cleanTxns follows the transactions of a log while its batches are read in order (Kafka's CleanedTransactionMetadata).
// All of them are decided below the last stable offset, so aborted ones are known before their first batch comes.
type cleanTxns struct {
	ahead   []AbortedTxn // not reached yet, by First
	aborted map[kafkaproto.ProducerID]passingTxn
	// committed are producers with a batch that is not aborted and whose marker has not been read.
	committed map[kafkaproto.ProducerID]struct{}
	gone      []AbortedTxn // aborted transactions that were passed and have no batch left
}

// passingTxn is an aborted transaction whose marker has not been read.
type passingTxn struct {
	AbortedTxn
	seen bool // a batch of it was read
}

// start takes the aborted transactions, by First. Those that end before the first batch do no harm.
func (t *cleanTxns) start(aborted []AbortedTxn) {
	*t = cleanTxns{
		ahead: aborted, aborted: map[kafkaproto.ProducerID]passingTxn{}, committed: map[kafkaproto.ProducerID]struct{}{},
	}
}

// reach takes up the transactions that have begun at an offset.
func (t *cleanTxns) reach(last offset) {
	for len(t.ahead) > 0 && t.ahead[0].First <= last {
		a := t.ahead[0]
		t.ahead = t.ahead[1:]
		t.pass(a.Producer)
		t.aborted[a.Producer] = passingTxn{AbortedTxn: a}
	}
}

// pass ends the aborted transaction of a producer, and tells whether there was one of which a batch was read.
func (t *cleanTxns) pass(id kafkaproto.ProducerID) bool {
	a, ok := t.aborted[id]
	delete(t.aborted, id)
	if ok && !a.seen {
		t.gone = append(t.gone, a.AbortedTxn)
	}
	return a.seen
}

// data takes in a batch of a client and tells whether it is of an aborted transaction. Unlike in Kafka, one that has ended
// is not taken for a later one of the producer when its marker is missing.
func (t *cleanTxns) data(b kafkaproto.Batch) (aborted bool) {
	t.reach(b.LastOffset())
	if !b.IsTransactional() {
		return false
	}
	id := b.ProducerID()
	a, ok := t.aborted[id]
	if !ok || a.Last < b.BaseOffset() {
		t.committed[id] = struct{}{}
		return false
	}
	if !a.seen {
		a.seen = true
		t.aborted[id] = a
	}
	return true
}

// marker takes in a control batch and tells whether it ends a transaction without batches, or is without a record itself:
// then it may go. An abort that does not fit what start was given is an error, since records would be taken for committed.
func (t *cleanTxns) marker(b kafkaproto.Batch) (idle bool, err error) {
	t.reach(b.LastOffset())
	kind, _, err := b.ControlType()
	if err != nil {
		return false, err
	}
	id := b.ProducerID()
	_, committed := t.committed[id]
	switch kind {
	case kafkaproto.ControlCommit:
		delete(t.committed, id)
		return !committed, nil
	case kafkaproto.ControlAbort:
		if committed {
			return false, fmt.Errorf("%w: producer %d", errAbortNotListed, id)
		}
		return !t.pass(id), nil
	}
	return b.NumRecords() == 0, nil
}
