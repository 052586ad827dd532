package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// coordinators know the address of each group's coordinator.
type coordinators struct {
	client *kgo.Client
	admin  *kadm.Client
	groups []string

	mu        sync.Mutex // guards what stands below
	addresses map[string]string
}

// coordinatorBatch is how many groups one FindCoordinator asks for.
const coordinatorBatch = 1000

// findCoordinators asks for all groups at once, and again while the topic of offsets is being made or loaded.
func findCoordinators(ctx context.Context, t Target, groups []string) (*coordinators, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.Bootstrap...), kgo.ClientID(clientID), kgo.DialTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	c := &coordinators{client: client, admin: kadm.NewClient(client), groups: groups, addresses: map[string]string{}}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for part := range slices.Chunk(groups, coordinatorBatch) {
		for {
			err := c.find(ctx, part)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				c.close()
				return nil, fmt.Errorf("find coordinators: %w", err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return c, nil
}

func (c *coordinators) find(ctx context.Context, groups []string) error {
	brokers, err := c.admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	at := map[int32]string{}
	for _, b := range brokers {
		at[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	found := c.admin.FindGroupCoordinators(ctx, groups...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range groups {
		one, ok := found[g]
		switch {
		case !ok:
			return fmt.Errorf("no answer for group %s", g)
		case one.Err != nil:
			return one.Err
		case at[one.NodeID] == "":
			return kerr.CoordinatorNotAvailable
		}
		c.addresses[g] = at[one.NodeID]
	}
	return nil
}

func (c *coordinators) address(group string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addresses[group]
}

// forget deletes the groups; those that are not there are no error.
func (c *coordinators) forget(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var first error
	for part := range slices.Chunk(c.groups, coordinatorBatch) {
		deleted, err := c.admin.DeleteGroups(ctx, part...)
		if err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
		for _, d := range deleted {
			if d.Err != nil && !errors.Is(d.Err, kerr.GroupIDNotFound) && first == nil {
				first = fmt.Errorf("delete group %s: %w", d.Group, d.Err)
			}
		}
	}
	return first
}

func (c *coordinators) close() { c.client.Close() }

// laneLatency is a histogram that many goroutines fill, slowly enough for one lock.
type laneLatency struct {
	count *atomic.Int64
	mu    *sync.Mutex
	h     *hdrhistogram.Histogram
}

func newLaneLatency() laneLatency {
	return laneLatency{new(atomic.Int64), new(sync.Mutex), newHistogram(1)}
}

// note counts one answer; its time only if it belongs to the measured part.
func (l *laneLatency) note(d time.Duration, measured bool) {
	l.count.Add(1)
	if !measured {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	record(l.h, d)
}

func (l *laneLatency) read(of string) *Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	return latency(of, l.h)
}

// sharedConn is a connection on which many members send, one at a time.
type sharedConn struct {
	mu   sync.Mutex
	conn *conn
}

// sharedConns are up to n connections to each coordinator.
type sharedConns struct {
	n      int
	mu     sync.Mutex
	byAddr map[string][]*sharedConn
}

// call sends over the connection that the i-th member uses, and connects if there is none.
func (s *sharedConns) call(ctx context.Context, addr string, i int, req kmsg.Request, resp kmsg.Response) error {
	s.mu.Lock()
	if s.byAddr[addr] == nil {
		for range s.n {
			s.byAddr[addr] = append(s.byAddr[addr], &sharedConn{})
		}
	}
	c := s.byAddr[addr][i%s.n]
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		var err error
		if c.conn, err = dial(ctx, addr); err != nil {
			return err
		}
	}
	err := c.conn.callWithin(ctx, callTimeout, req, resp)
	if err != nil {
		_ = c.conn.nc.Close()
		c.conn = nil
	}
	return err
}

func (s *sharedConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.byAddr {
		for _, c := range list {
			if c.conn != nil {
				_ = c.conn.nc.Close()
			}
		}
	}
}

// callTimeout is how long any answer may take that the broker doesn't hold back on purpose.
const callTimeout = 30 * time.Second

// callWithin is call that ends with ctx or after a while; the connection is of no more use then.
func (c *conn) callWithin(ctx context.Context, within time.Duration, req kmsg.Request, resp kmsg.Response) error {
	return c.callUpTo(ctx, within, req.MaxVersion(), req, resp)
}

// callUpTo is callWithin in a version up to limit.
func (c *conn) callUpTo(ctx context.Context, within time.Duration, limit int16, req kmsg.Request, resp kmsg.Response) error {
	if err := c.nc.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	newest, err := c.version(req.Key(), limit)
	if err != nil {
		return err
	}
	req.SetVersion(newest)
	return c.call(req, resp)
}
