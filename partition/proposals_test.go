package partition

import (
	"context"
	"testing"
)

// A proposal that is refused waits for its turn again. Where each is refused at once, because the manager ends, there must be no next.
func TestProposalsEndWithTheManagersContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	q := &proposals{m: &Manager{ctx: ctx}, waiting: make([]*Partition, 2*mostProposed), running: true}
	if got := q.take(); len(got) != mostProposed {
		t.Fatalf("took %d", len(got))
	}
	cancel()
	if got := q.take(); got != nil || q.running || q.waiting != nil {
		t.Errorf("took %d after the end, running %v", len(got), q.running)
	}
}
