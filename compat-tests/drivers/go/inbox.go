package main

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// atOnce is the most records that one answer to `member` holds.
const atOnce = 2000

// inbox is what a group member has and has got: its partitions, the records that nobody has asked for yet, and how far
// those asked for go. Any goroutine may call it.
type inbox struct {
	mu         sync.Mutex
	owned      map[topicPartition]bool
	waiting    []arrived
	returned   map[topicPartition]int64 // next offset after what was handed out
	rebalances int
	err        error
	keeps      bool // nothing is dropped, as the client commits by itself what it has given
}

type arrived struct {
	tp  topicPartition
	rec record
}

func newInbox() *inbox {
	return &inbox{owned: map[topicPartition]bool{}, returned: map[topicPartition]int64{}}
}

// assign adds partitions; all says that no others are owned.
func (b *inbox) assign(all bool, tps ...topicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if all {
		b.drop(slices.Collect(maps.Keys(b.owned)))
	}
	for _, tp := range tps {
		b.owned[tp] = true
	}
	b.rebalances++
}

// revoke takes partitions away with what waits of them.
func (b *inbox) revoke(tps ...topicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(tps)
}

func (b *inbox) drop(tps []topicPartition) {
	for _, tp := range tps {
		delete(b.owned, tp)
		delete(b.returned, tp)
	}
	if !b.keeps {
		b.waiting = slices.DeleteFunc(b.waiting, func(a arrived) bool { return !b.owned[a.tp] })
	}
}

// add takes a record if its partition is still owned.
func (b *inbox) add(tp topicPartition, rec record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owned[tp] || b.keeps {
		b.waiting = append(b.waiting, arrived{tp, rec})
	}
}

func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// state hands out what waits.
func (b *inbox) state() ([]topicPartition, []record, int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), atOnce)
	var records []record
	for _, a := range b.waiting[:n] {
		records = append(records, a.rec)
		b.returned[a.tp] = a.rec.Offset + 1
	}
	b.waiting = slices.Clone(b.waiting[n:])
	assignment := slices.SortedFunc(maps.Keys(b.owned), func(x, y topicPartition) int {
		return cmp.Or(cmp.Compare(x.topic, y.topic), cmp.Compare(x.partition, y.partition))
	})
	return assignment, records, b.rebalances, b.err
}

// toCommit is one past the last record handed out of each partition owned.
func (b *inbox) toCommit() []committedOffset {
	b.mu.Lock()
	defer b.mu.Unlock()
	var offsets []committedOffset
	for tp, next := range b.returned {
		offsets = append(offsets, committedOffset{tp, next})
	}
	return offsets
}
