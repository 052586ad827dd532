package quorum

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// heardLog keeps what a node says.
type heardLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *heardLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines hold a text.
func (l *heardLog) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// heard opens a quorum of one whose log can be looked at.
func heard(t *testing.T) (*Quorum, *heardLog) {
	t.Helper()
	log := &heardLog{}
	n := newTestNode(t, env.NewMem())
	n.change = func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return ready(t, n.open()), log
}

// sent writes to a cluster listener and returns when that has hung up.
func sent(t *testing.T, q *Quorum, data []byte) {
	t.Helper()
	c, err := net.Dial("tcp", q.options.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	var failed net.Error
	if _, err := io.Copy(io.Discard, c); errors.As(err, &failed) && failed.Timeout() {
		t.Errorf("%q: not hung up on", data[:min(len(data), 20)])
	}
}

// awaitLine waits until a text has been logged that often.
func awaitLine(t *testing.T, log *heardLog, text string, times int) {
	t.Helper()
	ctx := testContext(t)
	for log.count(text) < times {
		if ctx.Err() != nil {
			t.Fatalf("%q was said %d times, not %d", text, log.count(text), times)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWhoeverCallsAtTheWrongDoorIsNamedOnceInAWhile(t *testing.T) {
	q, log := heard(t)
	apiVersions := append([]byte{0, 0, 0, 35, 0, 18, 0, 4, 0, 0, 0, 1, 0, 13}, "adminclient-1 and more of it"...)
	for range 20 {
		sent(t, q, apiVersions)
	}
	sent(t, q, []byte("GET /metrics HTTP/1.1\r\nHost: somewhere.example\r\n\r\n"))
	sent(t, q, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a hello of TLS"))
	sent(t, q, []byte("SBCL\x07 of a later version, with more behind it"))
	sent(t, q, bytes.Repeat([]byte{0xfe}, 100))
	for _, text := range []string{"a Kafka client, it seems", "HTTP, which the admin", "a TLS handshake", "version 7 of the cluster's protocol"} {
		awaitLine(t, log, text, 1)
		if n := log.count(text); n != 1 {
			t.Errorf("%q was said %d times", text, n)
		}
	}
	awaitLine(t, log, "not a StreamBus node", 5)
	mustCreateNothing(t, q)
}

func TestTheSameIsSaidAgainWhenItWasQuietForAWhile(t *testing.T) {
	clock := env.NewFakeClock(time.Unix(1000, 0))
	s := &seldom{now: clock.Now}
	for range 5 {
		s.say("a")
	}
	if _, ok := s.say("b"); !ok {
		t.Error("another thing was not said")
	}
	clock.Advance(seldomPause)
	if skipped, ok := s.say("a"); !ok || skipped != 4 {
		t.Errorf("said %v after %d that were not", ok, skipped)
	}
	for i := range 2 * maxSeldom {
		s.say(string(rune(i)) + "c")
	}
	if len(s.said) > maxSeldom {
		t.Errorf("%d things are remembered", len(s.said))
	}
}

func TestAFrameThatIsTooLargeEndsTheConnection(t *testing.T) {
	q, log := heard(t)
	var caller bytes.Buffer
	if err := (hello{Purpose: purposeAsk, NodeID: 7}).write(&caller); err != nil {
		t.Fatal(err)
	}
	for _, size := range []uint32{maxFrame + 1, 1<<32 - 1, 0, 8} {
		sent(t, q, append(binary.BigEndian.AppendUint32(bytes.Clone(caller.Bytes()), size), make([]byte, 9)...))
	}
	awaitLine(t, log, "connection of a member closed", 4)
	mustCreateNothing(t, q)
}

// What is asked by frames that are whole but hold nothing is refused, and the connection goes on.
func TestRequestsThatCantBeReadAreRefused(t *testing.T) {
	q, _ := heard(t)
	c, _, err := q.stream.call(q.options.Listener.Addr().String(), "", purposeAsk, dialTimeout)
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(c)
	defer l.close()
	for _, ask := range []struct {
		kind byte
		body []byte
	}{{askCommand, nil}, {askCommand, []byte{0, 0, 0, 1, 0xff, 0xff}}, {askJoin, nil}, {askJoin, []byte{1, 200, 'x'}}, {askJoin, []byte("\x01\x03abc")}, {99, nil}} {
		f, err := l.ask(testContext(t), ask.kind, ask.body, nil)
		if err != nil || f.kind != answerFailure {
			t.Errorf("%d %q: %+v, %v", ask.kind, ask.body, f, err)
		}
	}
	mustCreateNothing(t, q)
}

func TestAVoterOfAnotherClusterIsNoFounder(t *testing.T) {
	first := ready(t, newTestNode(t, env.NewMem()).open())
	n := newTestNode(t, env.NewMem())
	n.id = 2
	l := listen(t)
	n.voters = []Voter{{1, first.options.Advertise}, {2, l.Addr().String()}}
	n.change = func(o *Options) { o.ClusterID = "AQIDAAAAAAAAAAAAAAAAAA" }
	_, err := Open(n.options(l))
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), first.Image().ClusterID()) || !strings.Contains(err.Error(), "AQIDAAAAAAAAAAAAAAAAAA") {
		t.Errorf("%v", err)
	}
	awaitMembers(t, first, 1, 0)
}

// A member stays in its own cluster, and so must not be started as one of another.
func TestAMemberThatIsToldToJoinAnotherClusterDoesNotStart(t *testing.T) {
	first := ready(t, newTestNode(t, env.NewMem()).open())
	n := newTestNode(t, env.NewMem())
	n.id = 2
	q := ready(t, n.open())
	own := q.Image().ClusterID()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	n.change = func(o *Options) { o.ClusterID, o.Join = own, []string{first.options.Advertise} }
	l := listen(t)
	_, err := Open(n.options(l))
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "the data directory is of cluster "+own) {
		t.Errorf("%v", err)
	}
	n.change = nil
	if back := ready(t, n.open()); back.Image().ClusterID() != own {
		t.Errorf("it is of cluster %s now", back.Image().ClusterID())
	}
}

// At the address of another voter somebody of another cluster answers: there is no majority, and the reason is told.
func TestWhoRefusedIsToldWhenNoQuorumIsFound(t *testing.T) {
	nodes, quorums := openThreeNodes(t)
	for _, q := range quorums {
		ready(t, q)
	}
	addresses := [2]string{quorums[1].options.Advertise, quorums[2].options.Advertise}
	for _, q := range quorums {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, address := range addresses {
		n := newTestNode(t, env.NewMem())
		n.id = int32(20 + i)
		q, err := Open(n.options(listenAt(t, address)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		ready(t, q)
	}
	back, err := Open(nodes[0].options(listenAt(t, quorums[0].options.Advertise)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = back.WaitReady(ctx)
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "2@"+addresses[0]) || !strings.Contains(err.Error(), "said: this is 2") {
		t.Errorf("%v", err)
	}
}

// askDirectly sends a command to a node as another member does, without looking who leads.
func askDirectly(t *testing.T, to *Quorum, c controller.Command) frame {
	t.Helper()
	conn, _, err := to.stream.call(to.options.Advertise, "", purposeAlive, dialTimeout)
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(conn)
	defer l.close()
	body, err := controller.EncodeCommand([]byte{0, 0, 10, 0}, c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.ask(testContext(t), askCommand, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestADeposedControllerDecidesNothingAndGivesNoLease(t *testing.T) {
	_, quorums := openThreeNodes(t)
	old := leaderOf(t, quorums)
	epoch := register(t, old, 1)
	if err := old.raft.Load().LeadershipTransfer().Error(); err != nil {
		t.Fatal(err)
	}
	awaitDeposed(t, old)
	lease := old.Lease()
	heartbeat := controller.BrokerHeartbeat{ID: old.options.NodeID, Epoch: epoch}
	for _, c := range []controller.Command{heartbeat, controller.UnregisterBroker{ID: 9}} {
		if f := askDirectly(t, old, c); f.kind != answerNotHere {
			t.Errorf("%T: answered %+v", c, f)
		}
	}
	if o := old.try(testContext(t), newCall(heartbeat)); o.err != errRetry {
		t.Errorf("its own broker: %+v", o)
	}
	if !old.Lease().Equal(lease) {
		t.Error("the lease moved")
	}
	beat(t, old, epoch) // which the new one answers
	if !old.Lease().After(lease) {
		t.Error("the new controller's answer is no lease")
	}
}

func awaitDeposed(t *testing.T, q *Quorum) {
	t.Helper()
	ctx := testContext(t)
	for q.leads() {
		if !q.stream.pause(time.Millisecond) || ctx.Err() != nil {
			t.Fatal("it leads for ever")
		}
	}
}

func TestAnOldRegistrationIsHeardNoMore(t *testing.T) {
	_, quorums := openThreeNodes(t)
	for _, q := range quorums {
		old := register(t, q, 1)
		now := register(t, q, 2)
		for _, c := range []controller.Command{
			controller.BrokerHeartbeat{ID: q.options.NodeID, Epoch: old},
			controller.BrokerHeartbeat{ID: q.options.NodeID, Epoch: old, WantShutdown: true},
			controller.UnfenceBroker{ID: q.options.NodeID, Epoch: old},
			controller.FenceBroker{ID: q.options.NodeID, Epoch: old},
			controller.AlterPartition{BrokerID: q.options.NodeID, BrokerEpoch: old},
			controller.AllocateProducerIDs{BrokerID: q.options.NodeID, BrokerEpoch: old},
		} {
			lease := q.Lease()
			if v, err := q.Submit(testContext(t), c); !errors.Is(err, kafkaproto.ErrStaleBrokerEpoch) || !q.Lease().Equal(lease) {
				t.Errorf("%T: %v, %v", c, v, err)
			}
		}
		if b, _ := q.Image().Broker(q.options.NodeID); b.Epoch != now || b.Fenced || b.ShuttingDown {
			t.Errorf("%+v", b)
		}
	}
}

// wrongClock is ahead, or behind, for as long as it runs.
type wrongClock struct {
	env.Clock
	ahead time.Duration
}

func (c wrongClock) Now() time.Time { return c.Clock.Now().Add(c.ahead) }

// A node whose clock is a day off leads and follows as any other: nothing in the quorum compares times of two nodes.
func TestAClockThatIsADayOffHarmsNobody(t *testing.T) {
	nodes, quorums := openThreeWith(t, func(o *Options) {
		o.Env.Clock = wrongClock{o.Env.Clock, time.Duration(o.NodeID-2) * 24 * time.Hour}
		o.Defaults.SessionTimeout = time.Minute
	})
	epochs := map[*Quorum]int64{}
	for i := range quorums { // each leads in turn
		leader := leaderOf(t, quorums)
		for _, q := range quorums {
			if i == 0 {
				epochs[q] = register(t, q, 1)
			}
			if a := beat(t, q, epochs[q]); a.Fenced {
				t.Errorf("node %d is fenced", q.options.NodeID)
			}
			left := q.Lease().Sub(q.options.Env.Clock.Now())
			if left <= 0 || left > time.Minute {
				t.Errorf("node %d has a lease for %v", q.options.NodeID, left)
			}
		}
		mustCreate(t, leader, "t"+string(rune('0'+i)))
		if err := leader.raft.Load().Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if err := leader.raft.Load().LeadershipTransfer().Error(); err != nil {
			t.Fatal(err)
		}
		awaitDeposed(t, leader)
	}
	for _, q := range quorums {
		awaitTopic(t, q, "t2")
	}
	last := quorums[2]
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := Open(nodes[2].options(listenAt(t, last.options.Advertise)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	ready(t, back)
	if n := back.Image().NumTopics(); n != 3 {
		t.Errorf("%d topics after a restart", n)
	}
	for b := range back.Image().Brokers() {
		if b.Fenced && b.ID != 3 {
			t.Errorf("broker %d is fenced", b.ID)
		}
	}
}
