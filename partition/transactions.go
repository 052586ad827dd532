package partition

import (
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// Verifier asks transaction coordinators whether a partition belongs to a transaction (KIP-890). The partition asks
// before the first batch of each transaction, and queues what the producer sends behind it.
type Verifier interface {
	// Verify calls done once, from any goroutine, with nil if the transaction is open and the partition is in it, else
	// with what the producer is to be told. It must call it in the end, whatever becomes of the coordinator.
	Verify(r VerifyRequest, done func(error))
}

// VerifyRequest is a question to a transaction coordinator.
type VerifyRequest struct {
	Partition       kafkaproto.TopicPartition
	TransactionalID string
	ProducerID      kafkaproto.ProducerID
	ProducerEpoch   kafkaproto.ProducerEpoch
	// Add asks to add the partition to the transaction instead of only verifying that it is in (transactions v2).
	Add bool
}

// addsPartitions is the first version of Produce whose senders leave it to the broker to add partitions (KIP-890).
const addsPartitions = 12

// mostParked bounds the batches of one producer that wait for one verification. Stock producers have at most five
// requests on their way.
const mostParked = 64

// unverified is a transaction that is being verified, and the guard of the batches that wait for that: they are
// appended only if it is still the producer's in p.txns when the answer comes. A marker takes it away, so that nothing
// of a transaction lands behind its end. p.txnMu guards it.
type unverified struct {
	epoch  kafkaproto.ProducerEpoch
	parked []parked
}

type parked struct {
	pd *pending
	a  log.Append
}

// TxnState is what is known here of a producer's transaction.
type TxnState int

// The states: a batch of an open transaction is appended, one of a transaction that is being verified waits, and one of
// an unknown transaction asks.
const (
	TxnUnknown TxnState = iota
	TxnVerifying
	TxnOpen
)

// TxnState says what is known of a producer's transaction in this partition.
func (p *Partition) TxnState(id kafkaproto.ProducerID, epoch kafkaproto.ProducerEpoch) TxnState {
	p.txnMu.Lock()
	defer p.txnMu.Unlock()
	return p.txnState(id, epoch)
}

func (p *Partition) txnState(id kafkaproto.ProducerID, epoch kafkaproto.ProducerEpoch) TxnState {
	if u := p.txns[id]; u != nil && u.epoch == epoch {
		return TxnVerifying
	}
	if p.log().TransactionOpen(id, epoch) {
		return TxnOpen
	}
	return TxnUnknown
}

// appendVerified appends a transactional batch if its transaction is open here, and else parks it until that is
// verified.
func (p *Partition) appendVerified(pd *pending, a log.Append, r *AppendRequest) {
	batch := kafkaproto.Batch(a.Data)
	id, epoch := batch.ProducerID(), batch.ProducerEpoch()
	p.txnMu.Lock()
	switch p.txnState(id, epoch) {
	case TxnOpen:
		err := p.take(pd, a)
		p.txnMu.Unlock()
		p.taken(pd, err)
	case TxnVerifying:
		u := p.txns[id]
		a.Hold = false // several are appended at once in the end
		full := len(u.parked) >= mostParked
		if !full {
			u.parked = append(u.parked, parked{pd, a})
		}
		p.txnMu.Unlock()
		if full {
			pd.refuse(kafkaproto.ErrNotEnoughReplicas.With("%d batches wait for the transaction coordinator already", mostParked))
		}
	default:
		p.park(pd, a, r, id, epoch)
	}
}

// park puts the first batch of a transaction aside and asks. It lets go of txnMu.
func (p *Partition) park(pd *pending, a log.Append, r *AppendRequest, id kafkaproto.ProducerID, epoch kafkaproto.ProducerEpoch) {
	a.Hold = false
	verifier := p.manager.verifier
	old := p.txns[id]
	switch {
	case verifier == nil:
		p.txnMu.Unlock()
		pd.refuse(kafkaproto.ErrInvalidTxnState.With("the partition is in no open transaction of producer %d", id))
		return
	case old != nil && old.epoch > epoch:
		p.txnMu.Unlock()
		pd.refuse(kafkaproto.ErrInvalidProducerEpoch)
		return
	}
	if p.txns == nil {
		p.txns = make(map[kafkaproto.ProducerID]*unverified)
	}
	u := &unverified{epoch: epoch, parked: []parked{{pd, a}}}
	p.txns[id] = u
	p.txnMu.Unlock()
	if old != nil {
		old.refuse(kafkaproto.ErrInvalidProducerEpoch)
	}
	verifier.Verify(VerifyRequest{
		Partition: p.id, TransactionalID: r.TransactionalID, ProducerID: id, ProducerEpoch: epoch, Add: r.Version >= addsPartitions,
	}, func(err error) { p.verified(id, u, err) })
}

// verified appends what was parked, in its order, or refuses it. Batches that come meanwhile wait for the lock.
func (p *Partition) verified(id kafkaproto.ProducerID, u *unverified, err error) {
	p.txnMu.Lock()
	if p.txns[id] != u {
		p.txnMu.Unlock() // whoever took it away has refused the batches
		return
	}
	p.forget(id)
	errs := make([]error, len(u.parked))
	for i, b := range u.parked {
		if errs[i] = err; err == nil {
			errs[i] = p.take(b.pd, b.a)
		}
	}
	p.txnMu.Unlock()
	for i, b := range u.parked {
		p.taken(b.pd, errs[i])
	}
}

func (p *Partition) forget(id kafkaproto.ProducerID) {
	if delete(p.txns, id); len(p.txns) == 0 {
		p.txns = nil
	}
}

// refuse ends all that was parked; u is nobody's any more.
func (u *unverified) refuse(err error) {
	for _, b := range u.parked {
		b.pd.refuse(err)
	}
}

// dropUnverified ends all that is parked in the partition.
func (p *Partition) dropUnverified(why error) {
	p.txnMu.Lock()
	all := p.txns
	p.txns = nil
	p.txnMu.Unlock()
	for _, u := range all {
		u.refuse(why)
	}
}

// MarkerRequest asks for the marker that ends a transaction in the partition.
type MarkerRequest struct {
	ProducerID       kafkaproto.ProducerID
	ProducerEpoch    kafkaproto.ProducerEpoch
	Commit           bool
	CoordinatorEpoch int32
	Timeout          time.Duration
	Done             func(AppendResult) // as for Append, when the high watermark has passed the marker
}

// AppendMarker appends a commit or abort marker. Batches of that producer that wait for their verification are refused:
// what they belong to has ended.
func (p *Partition) AppendMarker(r MarkerRequest) {
	pd := newPending(p, &AppendRequest{Acks: replication.AcksAll, Timeout: r.Timeout, Done: r.Done})
	if err := p.admit(replication.AcksAll, kafkaproto.NoLeaderEpoch); err != nil {
		pd.refuse(err)
		return
	}
	kind := kafkaproto.ControlAbort
	if r.Commit {
		kind = kafkaproto.ControlCommit
	}
	now := kafkaproto.Timestamp(p.manager.now().UnixMilli())
	a := log.Append{
		Data: kafkaproto.ControlBatch(kind, r.ProducerID, r.ProducerEpoch, r.CoordinatorEpoch, now),
		Now:  now, Origin: log.OriginCoordinator, Done: pd.logDone,
	}
	p.txnMu.Lock()
	stale := p.txns[r.ProducerID]
	if stale != nil && stale.epoch > r.ProducerEpoch {
		stale = nil // a later producer's, which this marker does not end
	}
	if stale != nil {
		p.forget(r.ProducerID)
	}
	err := p.take(pd, a)
	p.txnMu.Unlock()
	if stale != nil {
		stale.refuse(kafkaproto.ErrInvalidTxnState.With("the transaction has ended"))
	}
	p.taken(pd, err)
}
