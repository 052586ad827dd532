package quorum

import (
	"fmt"
	"testing"
	"time"
)

// An active controller that steps down has a successor at once, and what is asked of the three meanwhile is done.
func TestControllerThatStepsDownHasASuccessorAtOnce(t *testing.T) {
	quorums := openThree(t)
	first := leaderOf(t, quorums)
	register(t, first, 1)
	for _, q := range quorums {
		ready(t, q)
	}
	_, epoch, _ := first.Leader()
	began := time.Now()
	first.StepDown()
	for i, q := range quorums {
		mustCreate(t, q, fmt.Sprintf("t%d", i))
	}
	took := time.Since(began)
	second := leaderOf(t, quorums)
	if _, now, _ := second.Leader(); second == first || now != epoch+1 {
		t.Errorf("node %d leads in epoch %d, which comes after %d", second.options.NodeID, now, epoch)
	}
	t.Logf("three commands took %v", took)
	if first.StepDown(); leaderOf(t, quorums) != second {
		t.Error("one that does not lead has changed who does")
	}
}
