// Package broker is the Kafka face of a node: it accepts connections, reads frames, finds the row of the API table that
// a request belongs to, and writes answers in the order of their requests. It never keeps records or metadata itself:
// those are partition's and the quorum's, and what the broker holds between two requests is only fetch sessions.
//
// node drives it (NewServer, Serve, Drain, Close). Read apis.go first, the table of what is served, then conn.go, the
// life of a connection; each API key has a file NN_name.go of its own.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/partition"
)

// Quorum is what the broker needs of the metadata quorum; controller/quorum has it.
type Quorum interface {
	// Submit returns when the command's result is applied and every watcher on this node has seen it.
	Submit(ctx context.Context, c controller.Command) (any, error)
	// Image is the newest committed metadata; never changed after it was handed out.
	Image() *controller.Image
	// Leader is the active controller as far as this node knows.
	Leader() (id, epoch int32, ok bool)
	// Describe tells how the quorum stands; NOT_LEADER_OR_FOLLOWER where this node is not the active controller.
	Describe() (controller.QuorumState, error)
}

// GroupCoordinator takes the inputs of package groups to the machine that holds a group; shard.Host is one. done is called
// once, from any goroutine, and must neither block nor ask again.
type GroupCoordinator interface {
	// Submit asks the machine of one partition of __consumer_offsets.
	Submit(partition int32, input any, done func(value any, err error))
	// Each asks the machines of all partitions that this node leads.
	Each(input any, done func(values []any, err error))
	// Partitions is how many partitions __consumer_offsets has; not ok while it does not exist.
	Partitions() (n int32, ok bool)
}

// Options is what a Server is made of. All but Events must be set.
type Options struct {
	Env        env.Env
	Config     *config.Config
	NodeID     int32
	ClusterID  func() string
	Quorum     Quorum
	Partitions *partition.Manager
	Groups     GroupCoordinator
	Events     Events
	Logger     *slog.Logger
	// Settle returns when the metadata names no broker that this node can tell to be dead, within a bounded time. It is called
	// before the metadata is told. nil: there is nothing to make sure of.
	Settle func(ctx context.Context)
	// CatchUp returns when this node knows what was decided before it was called, within a bounded time. It is called before a
	// producer is told that a partition is not led here, and before Metadata says that a topic does not exist. nil: this node alone decides.
	CatchUp func(ctx context.Context)
}

// Server answers Kafka requests on any number of listeners.
type Server struct {
	env        env.Env
	config     *config.Config
	nodeID     int32
	clusterID  func() string
	quorum     Quorum
	partitions *partition.Manager
	groups     GroupCoordinator
	events     Events
	log        *slog.Logger
	settle     func(context.Context)
	catchUp    func(context.Context)

	limits      limits
	table       [maxAPIKey + 1]*api
	memory      memory
	sessions    sessionCache
	producerIDs producerIDs
	errands     errands
	pace        pace
	bytesIn     atomic.Int64
	bytesOut    atomic.Int64
	requests    atomic.Int64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	perIP     map[string]int
	emptied   chan struct{} // closed when draining and the last connection has gone
	draining  bool
	closed    bool
	sweeper   env.Timer
	running   sync.WaitGroup // accept loops and connections
}

// limits are the bounds that the configuration sets, read once. Those on connections can change and are read for each.
type limits struct {
	frameBytes    int32         // socket.request.max.bytes
	heldBytes     int64         // queued.max.request.bytes, over all connections
	idle          time.Duration // connections.max.idle.ms
	fetchBytes    int           // fetch.max.bytes
	fetchSessions int           // max.incremental.fetch.session.cache.slots
}

// defaultHeldBytes bounds the memory of requests being read or handled where queued.max.request.bytes says "unlimited",
// as Kafka's default does: nothing here is without a limit.
const defaultHeldBytes = 256 << 20

func readLimits(c *config.Config) limits {
	l := limits{
		frameBytes:    int32(c.Int64("socket.request.max.bytes")),
		heldBytes:     c.Int64("queued.max.request.bytes"),
		idle:          time.Duration(c.Int64("connections.max.idle.ms")) * time.Millisecond,
		fetchBytes:    int(c.Int64("fetch.max.bytes")),
		fetchSessions: int(c.Int64("max.incremental.fetch.session.cache.slots")),
	}
	if l.heldBytes <= 0 {
		l.heldBytes = defaultHeldBytes
	}
	return l
}

// NewServer makes a server that listens nowhere yet.
func NewServer(o Options) *Server {
	s := &Server{
		env: o.Env, config: o.Config, nodeID: o.NodeID, clusterID: o.ClusterID, quorum: o.Quorum,
		partitions: o.Partitions, groups: o.Groups, events: o.Events, log: o.Logger, settle: o.Settle, catchUp: o.CatchUp,
		limits:      readLimits(o.Config),
		listeners:   map[net.Listener]struct{}{},
		conns:       map[*conn]struct{}{},
		perIP:       map[string]int{},
		emptied:     make(chan struct{}),
		producerIDs: newProducerIDs(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.memory.limit = s.limits.heldBytes
	s.sessions.init(s.limits.fetchSessions, s.env.Rand)
	for i := range apis {
		s.table[apis[i].key] = &apis[i]
	}
	return s
}

// Drain stops accepting, lets every request that has been read get its answer, wakes the fetches that wait, and closes
// the connections. When ctx ends first, it closes what is left and returns ctx's error.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.draining || s.closed {
		s.mu.Unlock()
		return nil
	}
	s.draining = true
	for l := range s.listeners {
		l.Close()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	if len(conns) == 0 {
		close(s.emptied)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
	select {
	case <-s.emptied:
		s.Close()
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Linger serves on until no request has come for the time of quiet, for most at most, or until ctx ends.
func (s *Server) Linger(ctx context.Context, quiet, most time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := s.env.Clock.AfterFunc(most, cancel)
	defer end.Stop()
	for last := int64(-1); ; {
		now := s.requests.Load()
		if now == last {
			return
		}
		last = now
		t := s.env.Clock.NewTimer(quiet)
		select {
		case <-t.C():
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// Close ends every listener and connection at once and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.cancel()
	for _, c := range conns {
		c.close(errServerClosed)
	}
	s.running.Wait()
	s.errands.close()
}

var errServerClosed = errors.New("the broker is shutting down")

// Stats is a snapshot of what the server holds, for metrics and tests.
type Stats struct {
	Connections   int
	HeldBytes     int64 // request frames being read or handled
	FetchSessions int
	Requests      int64
	BytesIn       int64
	BytesOut      int64
}

// Stats counts what is held right now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections: n, HeldBytes: s.memory.used.Load(), FetchSessions: s.sessions.size(),
		Requests: s.requests.Load(), BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load(),
	}
}
