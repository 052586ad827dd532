package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// syncedRequests is how many requests are sent one after the other, and allowance what a start without any differs by from
// the next: whether two syncs of its own fall together.
const (
	syncedRequests = 100
	syncAllowance  = 5
)

// TestEveryAcknowledgementHasItsSync counts the kernel's fdatasync calls under strace: acknowledged requests one after the
// other cannot share a sync, so there are as many more of them than without.
func TestEveryAcknowledgementHasItsSync(t *testing.T) {
	notKafka(t)
	needLinux(t)
	needTool(t, "strace")
	idle := countSyncs(t, 0)
	busy := countSyncs(t, syncedRequests)
	t.Logf("fdatasync calls: %d without a request, %d with %d", idle, busy, syncedRequests)
	if busy-idle < syncedRequests-syncAllowance {
		t.Errorf("%d requests were acknowledged with %d syncs", syncedRequests, busy-idle)
	}
}

// TestFlushPolicyNeverDoesNotSync is the counterpart that shows the count counts.
func TestFlushPolicyNeverDoesNotSync(t *testing.T) {
	notKafka(t)
	needLinux(t)
	needTool(t, "strace")
	idle := countSyncs(t, 0, "--set", "log.flush.policy=never")
	busy := countSyncs(t, syncedRequests, "--set", "log.flush.policy=never")
	if busy-idle > syncedRequests/2 {
		t.Errorf("%d requests with %d syncs under never", syncedRequests, busy-idle)
	}
}

// countSyncs runs a broker under strace, produces n batches one after the other, and gives the number of fdatasync calls.
func countSyncs(t *testing.T, n int, flags ...string) int {
	t.Helper()
	report := filepath.Join(t.TempDir(), "strace")
	b := newBroker(t, flags...)
	b.wrap = []string{"strace", "-f", "-c", "-e", "trace=fdatasync", "-o", report}
	b.exec()
	b.waitReady(readyWithin)
	createTopic(t, b, "synced", 1)
	w := openWire(t, b.addr)
	for i := range n {
		w.mustProduce(t, "synced", 0, recordBatch(fmt.Append(nil, i)))
	}
	b.stop()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line) // % time, seconds, usecs/call, calls, [errors,] syscall
		if len(fields) >= 5 && fields[len(fields)-1] == "fdatasync" {
			calls, err := strconv.Atoi(fields[3])
			if err != nil {
				t.Fatalf("strace says %q", line)
			}
			return calls
		}
	}
	return 0
}
