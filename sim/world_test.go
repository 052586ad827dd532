package sim

import (
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// alone is a Sim in which nothing happens but what a test does.
func alone() (*Sim, *node) {
	s := &Sim{counts: map[streamKey]uint64{}}
	s.watchQuiet()
	s.check.init(s)
	n := &node{s: s, id: 1, drift: 1.0001}
	n.disk = newDisk(s, n)
	s.nodes = []*node{nil, n}
	return s, n
}

func TestTheClockKeepsTwoTimes(t *testing.T) {
	s, n := alone()
	c := &nodeClock{s: s, n: n, drift: 1}
	before := c.Now()
	s.clock.Store(int64(time.Second))
	c.jump.Store(int64(-time.Hour))
	after := c.Now()
	if d := after.Sub(before); d != time.Second {
		t.Errorf("%v have passed, want a second: the wall clock's jump must not count", d)
	}
	if d := after.UnixNano() - before.UnixNano(); d != int64(time.Second-time.Hour) {
		t.Errorf("the wall clock moved by %v", time.Duration(d))
	}
	if got := before.Unix(); got != startOfTime {
		t.Errorf("time starts at %d, want %d", got, startOfTime)
	}
	if !after.After(before) || after.Round(0).After(before) {
		t.Error("times are compared by the wall clock")
	}
}

func TestATimerIsNeverEarlyOnItsOwnClock(t *testing.T) {
	s, n := alone()
	for _, drift := range []float64{0.9998, 1, 1.0002} {
		c := &nodeClock{s: s, n: n, drift: drift}
		for d := time.Duration(1); d < time.Minute; d = d*7/3 + 1 {
			s.clock.Add(12345)
			due := c.Now().Add(d)
			s.clock.Add(int64(c.wait(d)))
			if late := c.Now().Sub(due); late < 0 || late > 10 {
				t.Errorf("drift %v: a timer for %v is %v late", drift, d, late)
			}
		}
	}
}

// write puts bytes into a file without waiting.
func write(t *testing.T, f env.File, data string, off int64) {
	t.Helper()
	if n, err := f.WriteVAt([][]byte{[]byte(data)}, off); err != nil || n != len(data) {
		t.Fatal(n, err)
	}
}

func TestAKillKeepsWhatWasWrittenAndAPowerCutWhatWasSynced(t *testing.T) {
	s, n := alone()
	d := n.disk
	if err := d.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	f, _ := d.Create("data/a")
	write(t, f, "synced", 0)
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncDir("data"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "written", 6)
	g, _ := d.Create("data/b")
	write(t, g, "without a name", 0)
	r := dice{s, streamCrash, 1}
	killed := d.clone(false, 0, r)
	if data, err := killed.ReadFile("data/a"); string(data) != "syncedwritten" {
		t.Errorf("after a kill: %q %v", data, err)
	}
	if _, err := killed.ReadFile("data/b"); err != nil {
		t.Errorf("after a kill: %v", err)
	}
	for _, from := range []*disk{d, killed} { // a kill makes nothing durable
		cut := from.clone(true, 0, r)
		if data, err := cut.ReadFile("data/a"); string(data) != "synced" {
			t.Errorf("after a power cut: %q %v", data, err)
		}
		if _, err := cut.ReadFile("data/b"); err == nil {
			t.Error("a file whose directory was never synced survived a power cut")
		}
	}
	if data, err := d.clone(true, 100, r).ReadFile("data/a"); string(data) != "syncedwritten" {
		t.Errorf("a power cut that is kind: %q %v", data, err)
	}
}

func TestWhatIsWrittenDuringASyncIsNotDurable(t *testing.T) {
	_, n := alone()
	f := &inode{}
	f.write([][]byte{[]byte("before")}, 0)
	left := func(kept int) string { return string(f.left(true, kept, dice{n.s, streamCrash, 1}).data) }
	from, bytesThen := f.beginSync()
	f.write([][]byte{[]byte("RE meanwhile")}, 4) // also over what is being synced
	if got := left(0); got != "" {
		t.Errorf("%q is left of a sync that has not ended", got)
	}
	f.endSync(from, bytesThen)
	if got := left(0); got != "before" {
		t.Errorf("%q is left", got)
	}
	if got := left(100); got != "befoRE meanwhile" {
		t.Errorf("%q is left where all survives", got)
	}
	f.endSync(f.beginSync())
	if got := left(0); got != "befoRE meanwhile" {
		t.Errorf("%q is left after another sync", got)
	}
}

func TestMessagesOfAConnectionArriveInOrderAndACutHoldsThemBack(t *testing.T) {
	s, _ := alone()
	s.net.init(s)
	var got []int
	c := conn{1, 2, "x"}
	put := func(i int) { s.net.send(c, func() { got = append(got, i) }, func() { got = append(got, -i) }) }
	for i := 1; i <= 5; i++ {
		put(i)
	}
	s.runUntil(100*time.Millisecond, nil)
	s.net.setCut(1, 2, true)
	put(6)
	s.runUntil(200*time.Millisecond, nil)
	s.net.setCut(1, 2, false)
	s.net.heal()
	s.runUntil(300*time.Millisecond, nil)
	s.net.setCut(1, 2, true)
	put(7)
	s.runUntil(30*time.Second, nil)
	want := []int{1, 2, 3, 4, 5, 6, -7}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestCheckersNoticeWhatTheyAreThereFor(t *testing.T) {
	for name, bad := range map[string]func(s *Sim, c *checks){
		"two records at an acknowledged offset": func(s *Sim, c *checks) {
			p := &producer{acks: -1}
			c.acked(s.topics[0].partition(0), p, 5, []string{"p1/0/0/"})
			c.acked(s.topics[0].partition(0), p, 5, []string{"p1/0/1/"})
		},
		"a record that nobody sent": func(s *Sim, c *checks) {
			c.seen(s.topics[0].partition(0), record{0, 0, "p1/0/0/", 1}, "m")
		},
		"a record that changes": func(s *Sim, c *checks) {
			id := s.topics[0].partition(0)
			c.made(id, []string{"p1/0/0/", "p1/0/1/"})
			c.seen(id, record{0, 0, "p1/0/0/", 1}, "m")
			c.seen(id, record{0, 1, "p1/0/1/", 1}, "m")
		},
		"a record that is gone": func(s *Sim, c *checks) {
			id := s.topics[0].partition(0)
			c.acked(id, &producer{acks: -1}, 0, []string{"p1/0/0/"})
			c.promised(c.part(id), nil)
		},
		"records out of order": func(s *Sim, c *checks) {
			id := s.topics[0].partition(0)
			s.producers = []*producer{{idempotent: true}}
			c.made(id, []string{"p1/0/0/", "p1/0/1/"})
			c.ordered(c.part(id), []record{{0, 0, "p1/0/1/", 1}, {1, 0, "p1/0/0/", 1}})
		},
		"latest goes back": func(s *Sim, c *checks) {
			id := s.topics[0].partition(0)
			c.latest(id, listed{nil, 9, 1}, listed{}, "m")
			c.latest(id, listed{nil, 8, 1}, c.latestKnown(id), "m")
		},
		"a committed offset goes back": func(s *Sim, c *checks) {
			id := s.topics[0].partition(0)
			g := &group{name: "g", parts: nil}
			c.commitAcked(g, id, 9)
			c.committedAt(g, id, 8, 9, "m")
		},
		"a partition of two members": func(s *Sim, c *checks) {
			g := &group{name: "g"}
			c.assigned(g, 1, "a", []kafkaproto.TopicPartition{s.topics[0].partition(0)})
			c.assigned(g, 1, "b", []kafkaproto.TopicPartition{s.topics[0].partition(0)})
		},
		"two leaders": func(s *Sim, c *checks) {
			c.leads(s.topics[0].partition(0), 3, &life{n: s.nodes[1], no: 1})
			c.leads(s.topics[0].partition(0), 3, &life{n: s.nodes[1], no: 2})
		},
		"replicas that differ": func(s *Sim, c *checks) {
			h := c.part(s.topics[0].partition(0))
			c.fix(h, record{0, 0, "p1/0/0/", 1}, &life{n: s.nodes[1]})
			c.fix(h, record{0, 1, "p1/0/0/", 1}, &life{n: s.nodes[1]})
		},
	} {
		s, _ := alone()
		s.topics = []*topic{{name: "t0", partitions: 1}}
		s.trace.most = 10
		bad(s, &s.check)
		if !s.check.failed() {
			t.Errorf("%s: not noticed", name)
		}
	}
}
