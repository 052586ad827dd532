package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// cacheOf makes a cache and the function that puts a session of so many partitions into it at a time.
func cacheOf(max int) (*sessionCache, func(at time.Time, follower bool, size int) *fetchSession) {
	c := &sessionCache{}
	c.init(max, env.System().Rand)
	return c, func(at time.Time, follower bool, size int) *fetchSession {
		s := newFetchSession(true, follower)
		for i := range size {
			s.put(sessionKey{name: "t", partition: int32(i)})
		}
		c.add(s, at)
		return s
	}
}

var sessionTime = time.Unix(1_700_000_000, 0)

func TestASessionIsCheckedAndItsEpochRises(t *testing.T) {
	c, add := cacheOf(10)
	s := add(sessionTime, false, 1)
	tests := []struct {
		what      string
		id, epoch int32
		byTopicID bool
		want      error
	}{
		{"another id", s.id ^ 1, 1, true, kafkaproto.ErrFetchSessionIDNotFound},
		{"an epoch ahead", s.id, 2, true, kafkaproto.ErrInvalidFetchSessionEpoch},
		{"names for ids", s.id, 1, false, kafkaproto.ErrFetchSessionTopicIDError},
		{"the right epoch", s.id, 1, true, nil},
		{"the same again", s.id, 1, true, kafkaproto.ErrInvalidFetchSessionEpoch},
		{"the next", s.id, 2, true, nil},
	}
	for _, test := range tests {
		got, _, err := c.begin(test.id, test.epoch, test.byTopicID, sessionTime, nil)
		if !errors.Is(err, test.want) || (got == s) != (test.want == nil) {
			t.Errorf("%s: got %v", test.what, err)
		}
	}
	c.drop(s.id)
	if _, _, err := c.begin(s.id, 3, true, sessionTime, nil); !errors.Is(err, kafkaproto.ErrFetchSessionIDNotFound) {
		t.Errorf("dropped: got %v", err)
	}
}

func TestSessionEpochsWrapAroundToOne(t *testing.T) {
	for epoch, want := range map[int32]int32{0: 1, 1: 2, 1<<31 - 1: 1, -1: -1} {
		if got := nextSessionEpoch(epoch); got != want {
			t.Errorf("after %d comes %d, want %d", epoch, got, want)
		}
	}
}

func TestAFetchLearnsOfTheOneBeforeItInTheSession(t *testing.T) {
	c, add := cacheOf(10)
	s := add(sessionTime, false, 1)
	first, second := &fetch{}, &fetch{}
	if _, before, _ := c.begin(s.id, 1, true, sessionTime, first); before != nil {
		t.Error("nothing came before the first")
	}
	if _, before, _ := c.begin(s.id, 2, true, sessionTime, second); before != first {
		t.Error("the first fetch is still going on")
	}
	c.end(s, first) // too late, the second has the session
	if _, before, _ := c.begin(s.id, 3, true, sessionTime, nil); before != second {
		t.Error("the second fetch is still going on")
	}
}

func TestAFullCacheRefusesUntilSomethingMayGo(t *testing.T) {
	c, add := cacheOf(2)
	first, second := add(sessionTime, false, 5), add(sessionTime.Add(time.Second), false, 3)
	if s := add(sessionTime.Add(time.Minute), false, 100); s.id != noSession {
		t.Error("young sessions were evicted")
	}
	// Both are old enough to go, and used: the smaller one makes room for a larger one, but not for one of its size.
	later := sessionTime.Add(sessionIdle + 2*time.Second)
	for _, s := range []*fetchSession{first, second} {
		_, _, err := c.begin(s.id, 1, true, later, nil)
		must(t, err)
	}
	if s := add(later, false, 3); s.id != noSession {
		t.Error("a session gave way to one of its size")
	}
	if s := add(later, false, 4); s.id == noSession {
		t.Error("the smaller session did not give way")
	}
	if _, _, err := c.begin(second.id, 2, true, later, nil); !errors.Is(err, kafkaproto.ErrFetchSessionIDNotFound) {
		t.Errorf("the smallest is still there: %v", err)
	}
	// What nobody used for long goes whatever its size.
	if s := add(later.Add(sessionIdle+time.Second), false, 1); s.id == noSession {
		t.Error("an idle session did not give way")
	}
}

func TestABrokersSessionTakesTheClientsPlace(t *testing.T) {
	c, add := cacheOf(1)
	client := add(sessionTime, false, 100)
	now := sessionTime.Add(sessionIdle)
	_, _, err := c.begin(client.id, 1, true, now, nil)
	must(t, err)
	follower := add(now, true, 1)
	if follower.id == noSession {
		t.Fatal("the client's session did not give way")
	}
	later := now.Add(sessionIdle)
	_, _, err = c.begin(follower.id, 1, true, later, nil)
	must(t, err)
	if s := add(later, false, 1000); s.id != noSession {
		t.Error("a client took a broker's place")
	}
}

func TestNoSessionsAreKeptWhereTheCacheIsOff(t *testing.T) {
	c, add := cacheOf(0)
	if s := add(sessionTime, true, 1); s.id != noSession || c.size() != 0 {
		t.Error("a session was kept")
	}
}

func TestPartitionsThatGaveDataGoToTheEnd(t *testing.T) {
	s := newFetchSession(false, false)
	key := func(n int32) sessionKey { return sessionKey{name: "t", partition: n} }
	for n := range int32(4) {
		s.put(key(n))
	}
	order := func() (ns []int32) {
		for p := s.first; p != nil; p = p.next {
			ns = append(ns, p.key.partition)
		}
		return ns
	}
	same := func(want ...int32) {
		t.Helper()
		got := order()
		if len(got) != len(want) || len(s.partitions) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	}
	s.moveToEnd(s.partitions[key(0)])
	same(1, 2, 3, 0)
	s.moveToEnd(s.partitions[key(2)])
	s.moveToEnd(s.partitions[key(2)])
	same(1, 3, 0, 2)
	s.remove(key(0))
	s.remove(key(9))
	same(1, 3, 2)
	s.remove(key(2))
	s.remove(key(1))
	s.remove(key(3))
	same()
	s.put(key(5))
	same(5)
}
