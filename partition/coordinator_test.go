package partition

import (
	"errors"
	"syscall"
	"testing"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// coordinate appends as a coordinator of an epoch does. written gets what becomes of it.
func coordinate(p *Partition, epoch kafkaproto.LeaderEpoch, records []byte) (base, next kafkaproto.Offset, written chan error, err error) {
	written = make(chan error, 1)
	base, next, err = p.AppendRecords(CoordinatorAppend{Records: records, Epoch: epoch, Written: func(err error) { written <- err }})
	return base, next, written, err
}

func TestACoordinatorsAppendReturnsItsOffsetsBeforeItIsCommitted(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	base, next, written, err := coordinate(p, 0, append(batch("a", "b"), batch("c")...))
	n.must(err)
	if base != 0 || next != 3 {
		t.Errorf("offsets %d to %d, want 0 to 3", base, next)
	}
	n.must(<-written)
	if high, err := p.Committed(0); high != 0 || err != nil {
		t.Errorf("the high watermark is %d, %v before the sync, want 0", high, err)
	}
	moved := make(chan struct{}, 1)
	w := NewWaiter(func() { signal(moved) })
	p.Wait(w)
	defer p.Unwait(w)
	release()
	for {
		w.Arm()
		if high, err := p.Committed(0); err != nil {
			t.Fatal(err)
		} else if high == 3 {
			break
		}
		<-moved
	}
}

func TestACoordinatorOfAnotherEpochCanNeitherAppendNorRead(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	check := func(what string, epoch kafkaproto.LeaderEpoch, want *kafkaproto.Error) {
		t.Helper()
		_, _, _, err := coordinate(p, epoch, batch("x"))
		wantErr(t, err, want)
		_, err = p.Committed(epoch)
		wantErr(t, err, want)
		_, err = p.LogEnds(epoch)
		wantErr(t, err, want)
		_, err = p.ReadLog(epoch, 0, 1<<20, nil)
		wantErr(t, err, want)
	}
	check("a later epoch", 1, kafkaproto.ErrUnknownLeaderEpoch)
	part, _ := n.img.Partition(p.ID())
	moved := *part
	moved.LeaderEpoch, moved.PartitionEpoch = 1, 1
	n.happen(&controller.PartitionChanged{Topic: p.ID().Topic, Partition: moved})
	check("an epoch that is over", 0, kafkaproto.ErrFencedLeaderEpoch)
	moved.Leader, moved.Replicas, moved.ISR, moved.LeaderEpoch, moved.PartitionEpoch = 2, []int32{1, 2}, []int32{1, 2}, 2, 2
	n.happen(&controller.PartitionChanged{Topic: p.ID().Topic, Partition: moved})
	check("another leader", 2, kafkaproto.ErrNotLeaderOrFollower)
	if end := p.Status().End; end != 0 {
		t.Errorf("%d records were appended, want none", end)
	}
}

func TestACoordinatorsAppendNeedsReplicasInSyncAndRoom(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t", "segment.bytes", "1048576")
	_, _, _, err := coordinate(p, 0, batch(string(make([]byte, 1<<20))))
	wantErr(t, err, kafkaproto.ErrRecordListTooLarge)
	_, _, _, err = coordinate(p, 0, batch("x"))
	n.must(err)
	part, _ := n.img.Partition(p.ID())
	two := *part
	two.Replicas, two.PartitionEpoch = []int32{1, 2}, 1
	n.happen(append(setConfigs("t", "min.insync.replicas", "2"), &controller.PartitionChanged{Topic: p.ID().Topic, Partition: two})...)
	_, _, _, err = coordinate(p, 0, batch("x"))
	wantErr(t, err, kafkaproto.ErrNotEnoughReplicas)
}

func TestACoordinatorIsToldOfRecordsThatCouldNotBeWritten(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.faults.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(_ string, _ int64, n int) (int, error) {
			if n < 8<<10 {
				return n, nil // the WAL's own, which may still come since the topic was made
			}
			return 0, syscall.ENOSPC
		}
	})
	_, _, written, err := coordinate(p, 0, batch(string(make([]byte, 8<<10))))
	n.must(err)
	wantErr(t, <-written, kafkaproto.ErrKafkaStorageError)
	n.faults.Change(func(h *env.FaultHooks) { h.WriteVAt = nil })
	if ends, err := p.LogEnds(0); err != nil || ends.Next != 0 {
		t.Errorf("the log ends at %d, %v, want 0", ends.Next, err)
	}
}

func TestACoordinatorReadsWhatIsNotCommitted(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.holdSyncs()
	_, _, written, err := coordinate(p, 0, append(batch("a"), batch("b", "c")...))
	n.must(err)
	n.must(<-written)
	var cursor log.Cursor
	var got []string
	for at := kafkaproto.Offset(0); ; {
		read, err := p.ReadLog(0, at, 1, &cursor) // a batch at a time
		n.must(err)
		got = append(got, values(t, ReadResult{Read: read})...)
		if read.Next == at {
			break
		}
		at = read.Next
	}
	if len(got) != 3 {
		t.Errorf("read %v, want a, b and c", got)
	}
	if _, err := p.ReadLog(0, 4, 1, nil); !errors.Is(err, kafkaproto.ErrOffsetOutOfRange) {
		t.Errorf("reading beyond the end: %v", err)
	}
}
