package quorum

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
)

// Voter is a node that votes, named as in controller.quorum.voters.
type Voter struct {
	NodeID  int32
	Address string
}

// Options of Open.
type Options struct {
	Env         env.Env
	Dir         string // DIR/raft; made if it is missing
	NodeID      int32
	DirectoryID [16]byte     // of meta.properties; with NodeID it names the voter
	Listener    net.Listener // cluster listener, owned by the quorum from here on
	Advertise   string       // host:port at which other nodes reach Listener; its own address if empty
	Voters      []Voter      // empty: just this one
	// Join names members of a cluster, host:port of their cluster listeners, that this node asks to be taken in. A directory
	// that is in a quorum already stays in it.
	Join     []string
	Observer bool // don't vote, only follow
	// ClusterID is the id of a cluster that this node would be the first leader of, from meta.properties of a directory
	// whose metadata was lost. Empty: a new one.
	ClusterID string
	// MustExist refuses a directory that holds nothing (ErrNoState), where there must have been metadata.
	MustExist bool
	Defaults  controller.Defaults
	Events    Events
	Logger    *slog.Logger // nil: none
	// OnFatal is called once, when the state on disk can't be trusted any more (a failed write or sync, a batch that this
	// version can't read). The process must end; the quorum does nothing more.
	OnFatal func(error)
}

// Events tell telemetry what happens. Each may be nil; none may block.
type Events struct {
	LeaderChanged  func(id, epoch int32)
	BatchCommitted func(events, bytes int, took time.Duration)
	BatchFailed    func(error)
	SnapshotTaken  func(bytes int64, took time.Duration)
	DiskFull       func(full bool)
}

// Quorum is this node's part of the metadata quorum. All methods may be called from any goroutine.
type Quorum struct {
	options   Options
	id        raft.ServerID
	fatal     *fatal
	fs        *fullFS
	store     *store
	snapshots *snapshots
	stream    *stream
	transport *transport
	fsm       *fsm
	feed      *feed
	raft      atomic.Pointer[raft.Raft]
	driver    *driver
	submits   *links // to the active controller, for commands
	alive     *links // and for heartbeats
	progress  progress
	joining   chan struct{} // held while a node is taken in
	repeats   *seldom

	closing chan struct{}
	once    sync.Once
	running sync.WaitGroup

	mu      sync.Mutex
	leader  leadership
	changed chan struct{} // closed and made anew whenever leader changes
	ready   bool
	served  map[*served]bool // connections of other members
	ended   bool             // closing has begun: nothing new starts
	refused error            // why no member takes this node in
	lease   time.Time
	since   time.Time // when this node became the leader
}

// leadership is who leads, as far as this node knows.
type leadership struct {
	id      int32
	term    uint64
	known   bool
	leading bool // it is this node, and it takes commands
	server  string
	address string // of its cluster listener
}

// Submit has the active controller, wherever it is, decide a command, and returns its answer (package controller says which)
// after its events are applied here and all watchers of this node have seen them. A command that surely did not happen,
// because the leadership changed, is tried again until ctx ends, and so is one that may happen twice
// (controller.Repeatable). Errors besides the command's own: REQUEST_TIMED_OUT (it may happen yet), NOT_CONTROLLER (it is not
// known whether it happened), KAFKA_STORAGE_ERROR (disk full or failed), POLICY_VIOLATION (too large to be passed on).
func (q *Quorum) Submit(ctx context.Context, c controller.Command) (any, error) {
	if r, ok := c.(controller.Randomized); ok {
		c = r.Randomize(q.options.Env.Rand.Read)
	}
	for try := 0; ; try++ {
		leader, err := q.awaitLeader(ctx)
		if err != nil {
			return nil, err
		}
		sent := q.options.Env.Clock.Now()
		value, err := q.submit(ctx, leader, c)
		if err == nil {
			q.renew(c, value, sent)
		}
		if err != errRetry && !(err == errUnknown && controller.Repeatable(c)) {
			return value, err
		}
		if err := q.backOff(ctx, leader, try); err != nil {
			return nil, err
		}
	}
}

func (q *Quorum) submit(ctx context.Context, leader leadership, c controller.Command) (any, error) {
	if !leader.leading {
		return q.forward(ctx, leader, c)
	}
	o := q.try(ctx, newCall(c))
	return o.value, o.err
}

// awaitLeader returns when it is known who takes commands.
func (q *Quorum) awaitLeader(ctx context.Context) (leadership, error) {
	for {
		q.mu.Lock()
		leader, changed := q.leader, q.changed
		q.mu.Unlock()
		switch {
		case q.fatal.failed():
			return leader, errFailed
		case leader.leading, leader.known && leader.id != q.options.NodeID:
			return leader, nil
		}
		if err := q.pause(ctx, changed); err != nil {
			return leader, err
		}
	}
}

// leads says whether this node takes commands.
func (q *Quorum) leads() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.leader.leading
}

// try has this node's own machine decide.
func (q *Quorum) try(ctx context.Context, c *call) outcome {
	select {
	case q.driver.calls <- c:
	case <-ctx.Done():
		return outcome{err: errTimeout(ctx.Err())}
	case <-q.closing:
		return outcome{err: errClosed}
	case <-q.fatal.done:
		return outcome{err: errFailed}
	}
	select {
	case o := <-c.done:
		return o
	case <-ctx.Done():
		if q.fs.full() {
			return outcome{err: errFull}
		}
		return outcome{err: errTimeout(ctx.Err())}
	case <-q.fatal.done:
		return outcome{err: errFailed}
	case <-q.closing:
		return outcome{err: errClosed}
	}
}

// Image is the newest image that all watchers of this node have seen.
func (q *Quorum) Image() *controller.Image { return q.feed.image() }

// Watch calls f with the current image and Changes.All as soon as the quorum is ready, and then with every later image, in
// order, from one goroutine. What f does holds up the answers of Submit, which f must therefore not call itself.
func (q *Quorum) Watch(f func(next *controller.Image, c controller.Changes)) { q.feed.watch(f) }

// Leader is the active controller's node id and epoch, as far as this node knows.
func (q *Quorum) Leader() (id, epoch int32, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.leader.id, int32(q.leader.term), q.leader.known
}

// WaitReady returns when a leader is known, everything committed before is applied here and every watcher so far has had its
// first look. It fails where the cluster that this node was to join does not want it.
func (q *Quorum) WaitReady(ctx context.Context) error {
	for {
		q.mu.Lock()
		ready, changed, refused := q.ready, q.changed, q.refused
		q.mu.Unlock()
		if refused != nil {
			return refused
		}
		if ready {
			if err := q.feed.wait(ctx, q.fsm.image.Load().LastIndex()); err != nil {
				return errTimeout(err)
			}
			return nil
		}
		if err := q.pause(ctx, changed); err != nil {
			return q.notReady(err)
		}
	}
}

// notReady says with an error what this node waited for.
func (q *Quorum) notReady(err error) error {
	members := q.raft.Load().GetConfiguration()
	if q.fatal.failed() || members.Error() != nil {
		return err
	}
	var voters []string
	for _, s := range members.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			id, _ := nodeOf(s.ID)
			voters = append(voters, fmt.Sprintf("%d@%s", id, s.Address))
		}
	}
	err = fmt.Errorf("%w; voters: %s", err, strings.Join(voters, ","))
	if last := q.stream.refused.Load(); last != nil {
		err = fmt.Errorf("%w; last refusal: %w", err, *last)
	}
	return err
}

func (q *Quorum) isReady() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready
}

// leaderMoved is told by the driver after everything that it does.
func (q *Quorum) leaderMoved(leading bool, term uint64) {
	next := leadership{leading: leading}
	if leading {
		next = leadership{id: q.options.NodeID, term: term, known: true, leading: true}
	} else if address, id := q.raft.Load().LeaderWithID(); id != "" {
		next.id, next.known = nodeOf(id)
		next.server, next.address = string(id), string(address)
		next.term = q.raft.Load().CurrentTerm()
	}
	ready := next.known && q.fsm.image.Load().ClusterID() != "" && (leading || next.id != q.options.NodeID && !q.isReady() && q.caughtUp())
	q.mu.Lock()
	defer q.mu.Unlock()
	if next == q.leader && (q.ready || !ready) {
		return
	}
	if ready && !q.ready {
		q.feed.open()
	}
	told := next.known && (next.id != q.leader.id || next.term != q.leader.term)
	if leading && !q.leader.leading {
		q.since = q.options.Env.Clock.Now()
	}
	q.leader, q.ready = next, q.ready || ready
	close(q.changed)
	q.changed = make(chan struct{})
	if f := q.options.Events.LeaderChanged; f != nil && told {
		f(next.id, int32(next.term))
	}
}

// caughtUp says whether a follower's image has all that the node knows to be committed. raft's own AppliedIndex runs ahead of
// what the FSM has really applied, so the newest committed command is looked up in the log.
func (q *Quorum) caughtUp() bool {
	r := q.raft.Load()
	snapshot, _ := strconv.ParseUint(r.Stats()["last_snapshot_index"], 10, 64)
	commit := r.CommitIndex()
	if commit == 0 {
		return false
	}
	for i := commit; i > snapshot; i-- {
		var entry raft.Log
		if q.store.GetLog(i, &entry) != nil {
			return false // cut off by a snapshot that is being taken
		}
		if entry.Type == raft.LogCommand {
			return q.fsm.seen.Load() >= i
		}
	}
	return true
}

// committed is told of every round that was applied.
func (q *Quorum) committed(r *round) {
	if f := q.options.Events.BatchCommitted; f != nil {
		f(len(r.events), r.bytes, q.options.Env.Clock.Now().Sub(r.started))
	}
	if q.fsm.pending.Load() > snapshotBytes {
		q.fsm.pending.Store(0)
		q.raft.Load().Snapshot() // its own goroutine takes it; a failure is logged there and tried again by count
	}
}

// room says whether the disk has enough left for a batch and what it entails. The check keeps raft from ever meeting a full disk
// in earnest, which it could only answer by giving up the leadership.
func (q *Quorum) room() bool {
	if q.fs.full() {
		return false
	}
	free, _, err := q.options.Env.FS.Usage(q.options.Dir)
	return err != nil || free >= minFree
}

// pause waits until changed is closed, or says why there is nothing to wait for.
func (q *Quorum) pause(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return errTimeout(ctx.Err())
	case <-q.closing:
		return errClosed
	case <-q.fatal.done:
		return errFailed
	}
}
