package cli

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlinesEndAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadlines(10 * time.Second)
		defer d.stop()
		first := d.next(time.Now())
		if d.next(time.Now()) != first {
			t.Error("two records of one moment have two deadlines")
		}
		time.Sleep(5 * time.Second)
		second := d.next(time.Now())
		if second == first {
			t.Error("a record five seconds later has the same deadline")
		}
		time.Sleep(7 * time.Second)
		if first.Err() == nil || second.Err() != nil {
			t.Errorf("after 12 s the first has %v, the second %v", first.Err(), second.Err())
		}
		d.next(time.Now())
		if len(d.live) != 2 {
			t.Errorf("%d deadlines are held, want 2", len(d.live))
		}
	})
}

func TestNoTimeoutIsNoDeadline(t *testing.T) {
	if _, ok := newDeadlines(0).next(time.Now()).Deadline(); ok {
		t.Error("there is a deadline")
	}
}
