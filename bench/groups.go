package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// GroupsOptions shape the load of Groups: consumer groups whose members do nothing but stay alive, and beside them
// committers that commit one offset after the other, each waiting for the answer before the next.
type GroupsOptions struct {
	Target
	Groups         int           // default 1000; negative: none, only committers
	Members        int           // of each group; default 3
	SessionTimeout time.Duration // default 45 s
	Heartbeat      time.Duration // between two heartbeats of a member; default 3 s
	Connections    int           // that all members share for heartbeats; 0: each member has its own, as in real life
	Committers     int           // serial loops of OffsetCommit, each for a group of its own without members; default 0
	Prefix         string        // of the names of groups; default "bench-group"
	Duration       time.Duration // of the measured part; default 30 s
	WarmUp         time.Duration // after all members have joined
	JoinTimeout    time.Duration // until all have; default 5 minutes
	Progress       func(Progress)
}

// maxMembers keeps a slip of the finger from opening a million connections.
const maxMembers = 100_000

func (o *GroupsOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	setDefault(&o.Groups, 1000)
	o.Groups = max(0, o.Groups)
	setDefault(&o.Members, 3)
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&o.SessionTimeout, 45 * time.Second}, {&o.Heartbeat, 3 * time.Second}, {&o.Duration, 30 * time.Second}, {&o.JoinTimeout, 5 * time.Minute}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	if o.Prefix == "" {
		o.Prefix = "bench-group"
	}
	switch {
	case o.Members < 0 || o.Groups*o.Members > maxMembers || o.Groups > maxMembers:
		return fmt.Errorf("%d groups of %d members: at most %d members in all", o.Groups, o.Members, maxMembers)
	case o.Committers < 0 || o.Committers > maxConnections:
		return fmt.Errorf("%d committers: allowed are up to %d", o.Committers, maxConnections)
	case o.Connections < 0 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections: allowed are up to %d", o.Connections, maxConnections)
	case o.Groups == 0 && o.Committers == 0:
		return errors.New("neither groups nor committers: there is nothing to do")
	}
	return nil
}

// GroupsResult is what Groups found. Rates, latencies and CPU are of the measured part alone.
type GroupsResult struct {
	Kind             string   `json:"kind"` // groups
	Groups           int      `json:"groups"`
	Members          int      `json:"membersOfEach"`
	Connections      int      `json:"connections"` // of members, for heartbeats
	SessionTimeoutMs int64    `json:"sessionTimeoutMs"`
	HeartbeatMs      int64    `json:"heartbeatIntervalMs"`
	Committers       int      `json:"committers"`
	JoinSeconds      float64  `json:"joinSeconds"` // until every member of every group had its assignment
	Seconds          float64  `json:"seconds"`
	Heartbeats       int64    `json:"heartbeats"`
	HeartbeatsSec    float64  `json:"heartbeatsPerSecond"`
	Heartbeat        *Latency `json:"heartbeatLatency,omitempty"`
	Commits          int64    `json:"commits"`
	CommitsSec       float64  `json:"commitsPerSecond"`
	Commit           *Latency `json:"commitLatency,omitempty"`
	Rejoins          int64    `json:"rejoins"` // of members that had joined: rebalances and lost sessions
	Errors           int64    `json:"errors"`
	FirstError       string   `json:"firstError,omitempty"`
	Broker           *Process `json:"broker,omitempty"` // with a PID; CPU a record is CPU a request
	Driver           *Process `json:"driver,omitempty"`
}

// Groups lets all members join, then measures them staying alive and the committers committing. Members leave at the
// end and the groups are deleted.
func Groups(ctx context.Context, o GroupsOptions) (*GroupsResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if _, err := prepare(ctx, o.Target); err != nil {
		return nil, err
	}
	l, err := newGroupsLoad(ctx, o)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &GroupsResult{
		Kind: "groups", Groups: o.Groups, Members: o.Members, Connections: o.Connections, Committers: o.Committers,
		SessionTimeoutMs: o.SessionTimeout.Milliseconds(), HeartbeatMs: o.Heartbeat.Milliseconds(),
	}
	if r.Connections == 0 {
		r.Connections = o.Groups * o.Members
	}
	return r, l.run(ctx, r)
}

// groupsLoad is what members and committers share.
type groupsLoad struct {
	o       GroupsOptions
	coords  *coordinators
	shared  *sharedConns
	members []*groupMember
	commits []*committer

	joined   atomic.Int64 // members that have an assignment now
	rejoins  atomic.Int64
	beats    laneLatency
	commit   laneLatency
	measured atomic.Bool
	ended    chan struct{} // closed when too much failed
	endOnce  sync.Once
	errors   errorLog
	last     atomic.Pointer[error] // that any of them met
}

func newGroupsLoad(ctx context.Context, o GroupsOptions) (*groupsLoad, error) {
	l := &groupsLoad{o: o, ended: make(chan struct{}), beats: newLaneLatency(), commit: newLaneLatency()}
	var names []string
	for g := range o.Groups {
		names = append(names, fmt.Sprintf("%s-%d", o.Prefix, g))
	}
	for c := range o.Committers {
		names = append(names, fmt.Sprintf("%s-committer-%d", o.Prefix, c))
	}
	var err error
	if l.coords, err = findCoordinators(ctx, o.Target, names); err != nil {
		return nil, err
	}
	l.shared = &sharedConns{n: o.Connections, byAddr: map[string][]*sharedConn{}}
	for i, name := range names {
		if i >= o.Groups {
			l.commits = append(l.commits, &committer{load: l, group: name})
			continue
		}
		for m := range o.Members {
			l.members = append(l.members, &groupMember{load: l, group: name, number: i*o.Members + m})
		}
	}
	return l, nil
}

func (l *groupsLoad) close() { l.shared.close(); l.coords.close() }

func (l *groupsLoad) run(ctx context.Context, r *GroupsResult) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range l.members {
		all.Go(func() { m.run(inner) })
	}
	begun := time.Now()
	err := l.awaitJoins(ctx)
	r.JoinSeconds = time.Since(begun).Seconds()
	if err == nil {
		err = l.measure(ctx, inner, &all, r)
	}
	cancel()
	all.Wait()
	r.Errors, r.FirstError = l.errors.read()
	r.Rejoins = l.rejoins.Load()
	return errors.Join(err, l.errors.fatal(), l.coords.forget(l.o.JoinTimeout))
}

func (l *groupsLoad) measure(ctx, inner context.Context, all *sync.WaitGroup, r *GroupsResult) error {
	for _, c := range l.commits {
		all.Go(func() { c.run(inner) })
	}
	sum := &Result{}
	m := &measurement{
		warmUp: max(l.o.WarmUp, time.Millisecond), duration: l.o.Duration, ended: l.ended, pids: l.o.PIDs,
		launch: func() {}, begin: func() { l.measured.Store(true) }, read: l.read, progress: l.o.Progress,
	}
	l.rejoins.Store(0) // those of joining are no news
	err := m.run(ctx, sum)
	l.measured.Store(false)
	r.Seconds, r.Broker, r.Driver = sum.Seconds, sum.Broker, sum.Driver
	r.Heartbeat = l.beats.read("heartbeat to its answer")
	r.Commit = l.commit.read("commit to its answer")
	if r.Heartbeat != nil {
		r.Heartbeats, r.HeartbeatsSec = r.Heartbeat.Count, float64(r.Heartbeat.Count)/r.Seconds
	}
	if r.Commit != nil {
		r.Commits, r.CommitsSec = r.Commit.Count, float64(r.Commit.Count)/r.Seconds
	}
	return err
}

// awaitJoins waits until every member has joined. A member that must join again is not counted meanwhile, so all of
// them together means that no group is rebalancing.
func (l *groupsLoad) awaitJoins(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.JoinTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for l.joined.Load() < int64(len(l.members)) {
		select {
		case <-ctx.Done():
			err := ctx.Err()
			if last := l.last.Load(); last != nil {
				err = errors.Join(err, *last)
			}
			return fmt.Errorf("%d of %d members had joined: %w", l.joined.Load(), len(l.members), err)
		case <-l.ended:
			return nil // the log of errors has the reason
		case <-tick.C:
		}
	}
	return nil
}

func (l *groupsLoad) read() counts {
	n := l.beats.count.Load() + l.commit.count.Load()
	return counts{records: n, requests: n}
}

// failed counts err and ends the run if it is one too many. Before measuring begins only what is no use trying again
// counts: a coordinator that is new refuses for a moment.
func (l *groupsLoad) failed(err error) {
	early := !l.measured.Load() && kerr.IsRetriable(err)
	l.last.Store(&err)
	if !early && !l.errors.note(err, false) {
		l.endOnce.Do(func() { close(l.ended) })
	}
}
