package log

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"

	"github.com/streambus/streambus/internal/env"
)

// manyBatches appends frames of several small batches each, and returns the offset behind them.
func manyBatches(t *testing.T, l *Log, frames, batches int) offset {
	next := offset(0)
	for range frames {
		var data []byte
		for i := range batches {
			b := spec{n: 1 + i%3, size: 20 + 7*i}.batch(t)
			b.SetBaseOffset(next)
			next = b.NextOffset()
			data = append(data, b...)
		}
		done := make(chan error, 1)
		a := Append{Data: data, Follower: true, Origin: OriginReplication, Done: func(err error) { done <- err }}
		if _, err := l.Append(a); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return next
}

// countReads counts reads of WAL files, and has one in so many fail if that is not 0.
func countReads(w *world, reads *int, failing *int) {
	w.fault.Change(func(h *env.FaultHooks) {
		h.ReadAt = func(string, int64) error {
			*reads++
			if *failing > 0 && *reads%*failing == 0 {
				return syscall.EIO
			}
			return nil
		}
	})
}

// A reader with a cursor gets what one without gets, whatever it asks for, and also when a read in between has failed.
func TestACursorChangesNothing(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	end := manyBatches(t, l, 30, 12)
	reads, failing := 0, 0
	countReads(w, &reads, &failing)
	rnd := rand.New(rand.NewPCG(1, 2))
	var cursor Cursor
	from := offset(0)
	failed := 0
	for range 5000 {
		r := ReadRequest{From: from, UpTo: end, MaxBytes: 1 + rnd.IntN(1200), MinOneBatch: rnd.IntN(4) > 0}
		if rnd.IntN(3) == 0 {
			r.UpTo = min(end, from+offset(rnd.IntN(40)))
		}
		failing = 0
		plain, err := l.Read(r)
		if err != nil {
			t.Fatal(err)
		}
		failing = 1 + rnd.IntN(3)
		r.Cursor = &cursor
		got, err := l.Read(r)
		if err != nil {
			if !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			failed++
			plain.Release()
			continue
		}
		if got.Next != plain.Next || got.Bytes != plain.Bytes || !reflect.DeepEqual(placesOf(got), placesOf(plain)) {
			t.Fatalf("%+v: with a cursor %+v, without %+v", r, got, plain)
		}
		from = got.Next
		got.Release()
		plain.Release()
		if from == end || rnd.IntN(50) == 0 {
			from = offset(rnd.IntN(int(end)))
		}
	}
	if failed == 0 {
		t.Error("no read has failed")
	}
}

// placesOf is where a read's bytes lie, with spans that follow one another as one.
func placesOf(r *Read) []env.Span {
	var out []env.Span
	for _, s := range r.Spans {
		if n := len(out); n > 0 && out[n-1].File == s.File && out[n-1].Pos+int64(out[n-1].Len) == s.Pos {
			out[n-1].Len += s.Len
		} else {
			out = append(out, s)
		}
	}
	return out
}

// Who reads small batches one by one costs a read of the file for a good many of them, not for each.
func TestACursorSparesReadsOfTheFile(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	const frames, batches = 10, 34
	end := manyBatches(t, l, frames, batches)
	reads, failing := 0, 0
	countReads(w, &reads, &failing)
	var cursor Cursor
	got := 0
	for from := offset(0); from < end; got++ {
		r, err := l.Read(ReadRequest{From: from, UpTo: end, MaxBytes: 1, MinOneBatch: true, Cursor: &cursor})
		if err != nil {
			t.Fatal(err)
		}
		from = r.Next
		r.Release()
	}
	if got != frames*batches {
		t.Fatalf("%d reads gave one batch each, of %d", got, frames*batches)
	}
	if most := frames * (1 + batches/maxAhead); reads > most {
		t.Errorf("%d batches took %d reads of the file, %d at most were to be", got, reads, most)
	}
}
