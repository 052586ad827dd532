package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// PartitionProducer is a producer that a partition's leader keeps the state of.
type PartitionProducer struct {
	Topic            string    `json:"topic"`
	Partition        int32     `json:"partition"`
	ProducerID       int64     `json:"producerId"`
	ProducerEpoch    int32     `json:"producerEpoch"`
	LastSequence     int32     `json:"lastSequence"`
	LastTimestamp    time.Time `json:"lastTimestamp"`
	CoordinatorEpoch int32     `json:"coordinatorEpoch"`
	TxnStart         *int64    `json:"transactionStart"` // first offset of its open transaction; null: it has none open
}

// PartitionProducers are sorted by topic, partition and producer id.
type PartitionProducers []PartitionProducer

// WriteTable prints a producer a line.
func (l PartitionProducers) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "TOPIC", "PARTITION", "PRODUCER", "EPOCH", "LAST-SEQUENCE", "LAST-TIMESTAMP", "COORDINATOR-EPOCH", "TRANSACTION-START")
	for _, p := range l {
		t.Row(p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.LastSequence,
			p.LastTimestamp.Format("2006-01-02T15:04:05.000Z07:00"), p.CoordinatorEpoch, orMinus(p.TxnStart))
	}
	return t.Flush()
}

// ListProducers asks the leaders of partitions for their producers (DescribeProducers, key 61). What was told is returned
// even if the error, which joins those of all partitions, is not nil.
func ListProducers(ctx context.Context, t Target, selections []PartitionSelection) (PartitionProducers, error) {
	if len(selections) == 0 {
		return nil, &UsageError{errNoPartitions}
	}
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	partitions, missing := partitionsOf(ctx, admin, selections)
	if len(partitions) == 0 {
		return nil, missing
	}
	answers, err := admin.DescribeProducers(ctx, topicsSet(partitions))
	err = shardError(err)
	list := PartitionProducers{}
	errs := []error{missing}
	for _, p := range partitions {
		a, ok := answers[p.topic].Partitions[p.partition]
		if !ok {
			a.Err = orMissing(err)
		}
		if a.Err != nil {
			errs = append(errs, fmt.Errorf("describe producers of %v: %w", p, a.Err))
		}
		for _, d := range a.ActiveProducers.Sorted() {
			row := PartitionProducer{
				Topic: p.topic, Partition: p.partition, ProducerID: d.ProducerID, ProducerEpoch: int32(d.ProducerEpoch),
				LastSequence: d.LastSequence, LastTimestamp: time.UnixMilli(d.LastTimestamp).UTC(), CoordinatorEpoch: d.CoordinatorEpoch,
			}
			if d.CurrentTxnStartOffset >= 0 {
				row.TxnStart = &d.CurrentTxnStartOffset
			}
			list = append(list, row)
		}
	}
	return list, errors.Join(errs...)
}
