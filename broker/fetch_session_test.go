package broker

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// sessionFetch is a fetch in a session, of nothing new.
func sessionFetch(version int16, id, epoch int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes = version, 1<<20, 1
	req.SessionID, req.SessionEpoch = id, epoch
	return req
}

// partitionsIn lists the partitions of an answer.
func partitionsIn(resp *kmsg.FetchResponse) []int32 {
	ns := []int32{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			ns = append(ns, p.Partition)
		}
	}
	return ns
}

// openFetchSession opens a session over partitions 0 to n-1 of topic t, from offset 0.
func (b *testBroker) openFetchSession(c *client, version int16, n int32) *kmsg.FetchResponse {
	b.t.Helper()
	topic, _ := b.quorum.Image().Topic("t")
	req := sessionFetch(version, 0, 0)
	for i := range n {
		addFetch(req, "t", topic.ID, i, 0)
	}
	resp := ask[*kmsg.FetchResponse](c, req)
	if resp.ErrorCode != 0 || resp.SessionID == 0 || len(partitionsIn(resp)) != int(n) {
		b.t.Fatalf("got %+v", resp)
	}
	return resp
}

func TestAnIncrementalFetchNamesOnlyWhatChanged(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 18} {
		b := startBroker(t)
		topic := b.createTopic("t", 3)
		c := b.dial()
		opened := b.openFetchSession(c, version, 3)
		epoch := int32(0)
		next := func(change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
			t.Helper()
			epoch++
			req := sessionFetch(version, opened.SessionID, epoch)
			if change != nil {
				change(req)
			}
			resp := ask[*kmsg.FetchResponse](c, req)
			if resp.ErrorCode != 0 || resp.SessionID != opened.SessionID {
				t.Fatalf("version %d: got %+v", version, resp)
			}
			return resp
		}
		want := func(what string, resp *kmsg.FetchResponse, ns ...int32) {
			t.Helper()
			if got := partitionsIn(resp); !slices.Equal(got, append([]int32{}, ns...)) {
				t.Errorf("version %d: %s: got partitions %v, want %v", version, what, got, ns)
			}
		}
		want("nothing new", next(nil))
		c.mustProduce("t", 1, "a")
		resp := next(nil)
		want("new records", resp, 1)
		if got := valuesIn(t, resp.Topics[0].Partitions[0].RecordBatches); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v", got)
		}
		want("the same again, for the session stands where it stood", next(nil), 1)
		want("gone past it", next(func(r *kmsg.FetchRequest) { addFetch(r, "t", topic.ID, 1, 1) }))
		_, err := b.partition("t", 1).DeleteRecords(1)
		must(t, err)
		want("the log start moved", next(nil), 1)
		want("and was told", next(nil))
		c.mustProduce("t", 0, "b")
		want("forgotten", next(func(r *kmsg.FetchRequest) {
			forget := kmsg.NewFetchRequestForgottenTopic()
			forget.Topic, forget.TopicID, forget.Partitions = "t", topic.ID, []int32{0}
			r.ForgottenTopics = append(r.ForgottenTopics, forget)
		}))
		want("fetched again", next(func(r *kmsg.FetchRequest) { addFetch(r, "t", topic.ID, 0, 0) }), 0)
	}
}

func TestPartitionsTakeTurnsWhenAnAnswerIsFull(t *testing.T) {
	b := startBroker(t)
	topic := b.createTopic("t", 3)
	c := b.dial()
	opened := b.openFetchSession(c, 12, 3)
	for n := range int32(3) {
		c.mustProduce("t", n, "a")
	}
	var got []int32
	for epoch := int32(1); epoch <= 6; epoch++ {
		req := sessionFetch(12, opened.SessionID, epoch)
		req.MaxBytes = 1
		for _, topic := range ask[*kmsg.FetchResponse](c, req).Topics {
			for _, p := range topic.Partitions {
				if len(p.RecordBatches) > 0 {
					got = append(got, p.Partition)
				}
			}
		}
	}
	if !slices.Equal(got, []int32{0, 1, 2, 0, 1, 2}) {
		t.Errorf("data came from %v", got)
	}
	_ = topic
}

func TestSessionErrorsAnswerTheWholeRequest(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	byName, byID := b.openFetchSession(c, 12, 1).SessionID, b.openFetchSession(c, 13, 1).SessionID
	tests := []struct {
		name string
		req  *kmsg.FetchRequest
		want *kafkaproto.Error
	}{
		{"no such session", sessionFetch(12, byName^byID^1, 1), kafkaproto.ErrFetchSessionIDNotFound},
		{"a wrong epoch", sessionFetch(12, byName, 7), kafkaproto.ErrInvalidFetchSessionEpoch},
		{"ids in a session by name", sessionFetch(13, byName, 1), kafkaproto.ErrFetchSessionTopicIDError},
		{"names in a session by id", sessionFetch(12, byID, 1), kafkaproto.ErrFetchSessionTopicIDError},
	}
	for _, test := range tests {
		resp := ask[*kmsg.FetchResponse](c, test.req)
		wantCode(t, test.name, resp.ErrorCode, test.want)
		if len(resp.Topics) != 0 || resp.SessionID != 0 {
			t.Errorf("%s: got %+v", test.name, resp)
		}
	}
	if resp := ask[*kmsg.FetchResponse](c, sessionFetch(12, byName, 1)); resp.ErrorCode != 0 {
		t.Errorf("a session was harmed by what failed: %+v", resp)
	}
}

func TestAFullFetchEndsTheSessionItNames(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	id := b.openFetchSession(c, 12, 1).SessionID
	end := fetchRequest("t", 0, 0)
	end.SessionID, end.SessionEpoch = id, -1
	if resp := ask[*kmsg.FetchResponse](c, end); resp.SessionID != 0 || len(partitionsIn(resp)) != 1 {
		t.Errorf("got %+v", resp)
	}
	wantCode(t, "ended", ask[*kmsg.FetchResponse](c, sessionFetch(12, id, 1)).ErrorCode, kafkaproto.ErrFetchSessionIDNotFound)
	if n := b.server.Stats().FetchSessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestASessionWithoutPartitionsEnds(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	id := b.openFetchSession(c, 12, 1).SessionID
	req := sessionFetch(12, id, 1)
	forget := kmsg.NewFetchRequestForgottenTopic()
	forget.Topic, forget.Partitions = "t", []int32{0}
	req.ForgottenTopics = append(req.ForgottenTopics, forget)
	if resp := ask[*kmsg.FetchResponse](c, req); resp.ErrorCode != 0 || resp.SessionID != 0 {
		t.Errorf("got %+v", resp)
	}
	if n := b.server.Stats().FetchSessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestTheEndOfAnErrorIsToldInASession(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	req := sessionFetch(12, 0, 0)
	addFetch(req, "t", kafkaproto.TopicID{}, 0, 0)
	addFetch(req, "later", kafkaproto.TopicID{}, 0, 0)
	opened := ask[*kmsg.FetchResponse](c, req)
	wantCode(t, "not there", opened.Topics[1].Partitions[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	resp := ask[*kmsg.FetchResponse](c, sessionFetch(12, opened.SessionID, 1))
	if len(resp.Topics) != 1 || resp.Topics[0].Topic != "later" || resp.Topics[0].Partitions[0].ErrorCode == 0 {
		t.Errorf("an error is told every time: got %+v", resp)
	}
	b.createTopic("later", 1)
	resp = ask[*kmsg.FetchResponse](c, sessionFetch(12, opened.SessionID, 2))
	if len(resp.Topics) != 1 || resp.Topics[0].Topic != "later" || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("created: got %+v", resp)
	}
}

func TestATopicMadeAnewIsReadByNameAndUnknownByItsOldID(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	byName, byID := b.openFetchSession(c, 12, 1).SessionID, b.openFetchSession(c, 13, 1).SessionID
	b.deleteTopic("t")
	b.createTopic("t", 1)
	c.mustProduce("t", 0, "anew")
	resp := ask[*kmsg.FetchResponse](c, sessionFetch(12, byName, 1))
	if got := valuesIn(t, resp.Topics[0].Partitions[0].RecordBatches); !slices.Equal(got, []string{"anew"}) {
		t.Errorf("by name: got %v", got)
	}
	resp = ask[*kmsg.FetchResponse](c, sessionFetch(13, byID, 1))
	wantCode(t, "by id", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrUnknownTopicID)
}

func TestTheNextFetchOfASessionEndsTheOneThatWaits(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c, again := b.dial(), b.dial()
	id := b.openFetchSession(c, 12, 1).SessionID
	waiting := sessionFetch(12, id, 1)
	waiting.MaxWaitMillis = 60_000
	sent := c.send(waiting)
	b.waits(1)
	if resp := ask[*kmsg.FetchResponse](again, sessionFetch(12, id, 2)); resp.ErrorCode != 0 {
		t.Errorf("got %+v", resp)
	}
	if resp := c.receive(sent, waiting).(*kmsg.FetchResponse); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
		t.Errorf("got %+v", resp)
	}
}

func TestSessionsAreBoundedByTheCachesSlots(t *testing.T) {
	b := startBroker(t, withConfig("max.incremental.fetch.session.cache.slots=2"))
	b.createTopic("t", 1)
	c := b.dial()
	b.openFetchSession(c, 12, 1)
	b.openFetchSession(c, 12, 1)
	req := sessionFetch(12, 0, 0)
	addFetch(req, "t", kafkaproto.TopicID{}, 0, 0)
	if resp := ask[*kmsg.FetchResponse](c, req); resp.SessionID != 0 || len(partitionsIn(resp)) != 1 {
		t.Errorf("got %+v", resp)
	}
}

// A follower that asks for a partition anew, while the answer to its last request is on its way, drops what that says of it. So
// it must be told the high watermark again, or it would not know it until the next record comes.
func TestAFollowerThatAsksAnewIsToldTheHighWatermarkAgain(t *testing.T) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 18
	addFetch(req, "t", kafkaproto.TopicID{1}, 0, 7)
	for _, follower := range []bool{true, false} {
		s := newFetchSession(true, follower)
		s.update(req)
		p := s.first
		p.highWatermark, p.logStart = 7, 3 // as told
		s.update(req)
		if again := p.highWatermark == kafkaproto.NoOffset && p.logStart == kafkaproto.NoOffset; again != follower {
			t.Errorf("follower %v: what was told is %d from %d", follower, p.highWatermark, p.logStart)
		}
	}
}
