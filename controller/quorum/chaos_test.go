package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// cuttable is a node's way to the network, which can be cut: what is open breaks, and nothing new is made in either direction.
type cuttable struct {
	env.Net
	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool
}

func (c *cuttable) keep(conn net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		return errors.Join(syscall.EHOSTUNREACH, conn.Close())
	}
	c.conns[conn] = true
	return nil
}

func (c *cuttable) Dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := c.Net.Dial(network, address, timeout)
	if err == nil {
		err = c.keep(conn)
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (c *cuttable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = cut
	if cut {
		for conn := range c.conns {
			_ = conn.Close()
		}
		clear(c.conns)
	}
}

// gate is a listener behind a cuttable.
type gate struct {
	net.Listener
	net *cuttable
}

func (g gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.net.keep(conn) == nil {
			return conn, nil
		}
	}
}

// member is a node of a chaos test, and whoever may use it holds the lock for reading.
type member struct {
	node *testNode
	net  *cuttable
	mu   sync.RWMutex
	q    *Quorum
}

func (m *member) open(t *testing.T, l net.Listener) {
	m.net = &cuttable{Net: env.System().Net, conns: map[net.Conn]bool{}}
	m.node.change = func(o *Options) { o.Env.Net = m.net }
	q, err := Open(m.node.options(gate{l, m.net}))
	if err != nil {
		t.Error(err)
		return
	}
	m.q = q
}

// crash is a power cut: the node is cut off, so that nothing it does afterwards counts, and goes on with what its disk held.
func (m *member) crash(t *testing.T, rng *rand.Rand) {
	m.net.set(true)
	disk := m.node.fs.(*env.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	m.mu.Lock()
	defer m.mu.Unlock()
	address := m.q.options.Advertise
	_ = m.q.Close()
	m.node.fs = disk
	m.open(t, listenAt(t, address))
}

// history is what was asked of the members of a chaos test, and what they said.
type history struct {
	mu    sync.Mutex
	acked map[string]bool
	asked int
}

// ask creates one topic after the other through any member, until stop.
func (h *history) ask(t *testing.T, members []*member, rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		h.mu.Lock()
		h.asked++
		name := fmt.Sprintf("t%d", h.asked)
		h.mu.Unlock()
		m := members[rng.IntN(len(members))]
		m.mu.RLock()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := createTopic(m.q, ctx, name)
		cancel()
		m.mu.RUnlock()
		switch {
		case err == nil:
			h.mu.Lock()
			h.acked[name] = true
			h.mu.Unlock()
		case errors.Is(err, kafkaproto.ErrTopicAlreadyExists):
			t.Errorf("%s was created twice", name)
		}
	}
}

// Members lose power or are cut off, one at a time, while commands come in through all of them. What was acknowledged is
// there in the end, on every member, and nothing was done twice.
func TestNothingAcknowledgedIsLostWhileMembersComeAndGo(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	members := openMembers(t)
	registerAs(t, members[0].q, 9, 1) // a broker that is no member, so it is never found dead, nor silent
	h := &history{acked: map[string]bool{}}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for i := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(100+i)))
		asking.Go(func() { h.ask(t, members, r, stop) })
	}
	for range 4 {
		m := members[rng.IntN(3)]
		if rng.IntN(3) == 0 {
			m.net.set(true)
			h.more(t, 5) // the others go on meanwhile
			m.net.set(false)
		} else {
			m.crash(t, rng)
		}
		h.more(t, 10)
	}
	close(stop)
	asking.Wait()
	mustCreate(t, members[0].q, "last")
	for _, m := range members {
		awaitTopic(t, m.q, "last")
		for name := range h.acked {
			if _, ok := m.q.Image().Topic(name); !ok {
				t.Errorf("node %d has lost %s, one of %d that were acknowledged", m.node.id, name, len(h.acked))
			}
		}
	}
}

// more waits until n more commands were acknowledged.
func (h *history) more(t *testing.T, n int) {
	t.Helper()
	ctx := testContext(t)
	h.mu.Lock()
	target := len(h.acked) + n
	h.mu.Unlock()
	for {
		h.mu.Lock()
		have := len(h.acked)
		h.mu.Unlock()
		if have >= target {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("only %d of %d were acknowledged", have, target)
		}
		time.Sleep(2 * time.Millisecond) // how far it has come is all that matters
	}
}

func openMembers(t *testing.T) []*member {
	t.Helper()
	var voters []Voter
	var listeners []net.Listener
	for i := range 3 {
		l := listen(t)
		listeners = append(listeners, l)
		voters = append(voters, Voter{NodeID: int32(i + 1), Address: l.Addr().String()})
	}
	members := make([]*member, 3)
	var opening sync.WaitGroup
	for i, l := range listeners {
		n := newTestNode(t, env.NewMem())
		n.id, n.voters = int32(i+1), voters
		members[i] = &member{node: n}
		opening.Go(func() { members[i].open(t, l) })
	}
	opening.Wait()
	t.Cleanup(func() {
		for _, m := range members {
			if m.q != nil {
				_ = m.q.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return members
}
