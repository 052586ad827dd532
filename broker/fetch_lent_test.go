package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/partition"
)

// What an answer to a follower has lent to its socket comes back when the follower says that all answers have come, unless another
// fetch of its session is being answered: its answer may lend more, and what it was sent by may be a connection that is lost.
func TestWhatAFollowerWasLentComesBackWhenItSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		follower, says, waits, back bool
	}{
		"it says so":             {follower: true, says: true, back: true},
		"it does not":            {follower: true},
		"another fetch is there": {follower: true, says: true, waits: true},
		"a client says so":       {says: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBroker(t)
			b.createTopic("t", 1)
			b.createTopic("other", 1)
			cl := b.dial()
			for range 6 { // more than a file
				cl.mustProduce("t", 0, strings.Repeat("x", 900<<10))
			}
			read := b.partition("t", 0).Read(partition.ReadRequest{MaxBytes: 1 << 20, ReplicaID: -1, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}).Read
			s := newFetchSession(false, c.follower)
			s.put(sessionKey{name: "t"})
			s.put(sessionKey{name: "other"})
			s.lent.Lend(read)
			read.Release()
			now := b.env.Clock.Now()
			b.server.sessions.add(s, now)
			req := sessionFetch(12, s.id, 1)
			if c.says {
				req.UnknownTags.Set(tagReceived, nil)
			}
			if c.waits {
				before := newFetch(b.server, &request{}, sessionFetch(12, s.id, 1))
				before.answered = true
				if _, _, err := b.server.sessions.begin(s.id, 1, false, now, before); err != nil {
					t.Fatal(err)
				}
				req.SessionEpoch = 2
			}
			must(t, newFetch(b.server, &request{}, req).openSession(req))
			b.deleteTopic("t")
			for end := time.Now().Add(readTimeout); b.engine.Stats().Unlinks == 0; time.Sleep(time.Millisecond) {
				if must(t, b.engine.Retain()); time.Now().After(end) {
					t.Fatal("no file has gone")
				}
			}
			if got := b.engine.Stats(); int64(got.Spares) == got.Unlinks != c.back { // in the last file nothing was read
				t.Errorf("of %d files that went %d are kept to be written again", got.Unlinks, got.Spares)
			}
		})
	}
}

func TestAFetchHasATag(t *testing.T) {
	req := kmsg.NewPtrFetchRequest()
	if hasTag(&req.UnknownTags, tagReceived) {
		t.Error("none was set")
	}
	req.Version = 18
	req.UnknownTags.Set(7, []byte("x"))
	req.UnknownTags.Set(tagReceived, nil)
	again := kmsg.NewPtrFetchRequest()
	again.Version = 18
	must(t, again.ReadFrom(req.AppendTo(nil)))
	if !hasTag(&again.UnknownTags, tagReceived) || hasTag(&again.UnknownTags, 8) {
		t.Error("what was sent did not come")
	}
}
