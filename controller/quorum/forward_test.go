package quorum

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// followerOf is one of the quorums that does not lead.
func followerOf(t *testing.T, quorums []*Quorum) *Quorum {
	t.Helper()
	leader := leaderOf(t, quorums)
	for _, q := range quorums {
		if q != leader {
			return q
		}
	}
	t.Fatal("no follower")
	return nil
}

func TestCommandGivenToAnyMemberIsSeenThereWhenItIsAnswered(t *testing.T) {
	quorums := openThree(t)
	for _, q := range quorums {
		register(t, q, 1)
	}
	var all sync.WaitGroup
	for i, q := range quorums {
		for k := range 10 {
			all.Go(func() {
				name := fmt.Sprintf("t%d-%d", i, k)
				mustCreate(t, q, name)
				if _, ok := q.Image().Topic(name); !ok {
					t.Errorf("node %d was told that %s exists and does not see it", q.options.NodeID, name)
				}
			})
		}
	}
	all.Wait()
	follower := followerOf(t, quorums)
	if err := createTopic(follower, testContext(t), "t0-0"); !errors.Is(err, kafkaproto.ErrTopicAlreadyExists) || kafkaproto.Message(err) == nil {
		t.Errorf("an error inside an answer came as %v", err)
	}
	_, err := follower.Submit(testContext(t), controller.BrokerHeartbeat{ID: 1, Epoch: 99})
	if !errors.Is(err, kafkaproto.ErrStaleBrokerEpoch) || kafkaproto.Message(err) == nil {
		t.Errorf("an error as a whole came as %v", err)
	}
}

func TestQuorumIsDescribedByAnyMember(t *testing.T) {
	quorums := openThree(t)
	leader := leaderOf(t, quorums)
	register(t, leader, 1)
	ctx := testContext(t)
	for _, q := range quorums {
		for known := 0; known < 3 && ctx.Err() == nil; {
			s, err := q.Describe()
			if err != nil {
				t.Fatal(err)
			}
			known = 0
			for _, m := range s.Voters {
				if m.LogEndOffset >= s.HighWatermark && !m.LastCaughtUp.IsZero() && time.Since(m.LastFetch) < time.Minute && m.DirectoryID[1] == 7 {
					known++
				}
			}
			if len(s.Voters) != 3 || len(s.Observers) != 0 {
				t.Fatalf("%+v", s)
			}
		}
	}
	if ctx.Err() != nil {
		t.Error("the followers' logs are never known")
	}
}

// oddLeader takes one connection as a leader does, and hands over the requests that come.
func oddLeader(t *testing.T) (l *link, requests chan frame, server net.Conn) {
	t.Helper()
	lis := listen(t)
	defer lis.Close()
	client, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = lis.Accept(); err != nil {
		t.Fatal(err)
	}
	requests = make(chan frame, 10)
	go func() {
		for {
			f, err := readFrame(server)
			if err != nil {
				return
			}
			requests <- f
		}
	}()
	l = newLink(client)
	t.Cleanup(func() { l.close(); _ = server.Close() })
	return l, requests, server
}

func TestRequestThatArrivedAndWasNotAnsweredMayHaveHappened(t *testing.T) {
	l, requests, server := oddLeader(t)
	result := make(chan error, 1)
	go func() {
		_, err := l.ask(testContext(t), askCommand, []byte("x"), nil)
		result <- err
	}()
	<-requests
	_ = server.Close()
	if err := <-result; err != errUnknown {
		t.Errorf("%v", err)
	}
	if _, err := l.ask(testContext(t), askCommand, nil, nil); err != errNotSent {
		t.Errorf("on a connection that is gone: %v", err)
	}
}

func TestAnswersFindTheirRequestsInAnyOrder(t *testing.T) {
	l, requests, server := oddLeader(t)
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			f, err := l.ask(testContext(t), askCommand, []byte{byte(i)}, nil)
			if err != nil || len(f.body) != 1 || f.body[0] != byte(i) {
				t.Errorf("%d: %v, %v", i, f, err)
			}
		})
	}
	var asked []frame
	for range 5 {
		asked = append(asked, <-requests)
	}
	for i := range asked {
		f := asked[len(asked)-1-i]
		if _, err := server.Write(frame{f.id, answerValue, f.body}.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	short, cancel := context.WithCancel(t.Context())
	go func() { <-requests; cancel() }()
	if _, err := l.ask(short, askCommand, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// A leader that hangs is left when another leads.
func TestNobodyWaitsForALeaderThatWasReplaced(t *testing.T) {
	l, requests, _ := oddLeader(t)
	lost := make(chan struct{})
	go func() { <-requests; close(lost) }()
	if _, err := l.ask(testContext(t), askCommand, nil, lost); err != errUnknown {
		t.Errorf("%v", err)
	}
}
