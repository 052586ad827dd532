package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/kafkaproto"
)

// Sizes and times, the same for a quorum of one and of five.
const (
	// A leader that is dead is noticed by its connection, so these matter for one that is silent only, whose broker has a session
	// of seconds. On a busy machine every process waits for its turn now and then: with a lease of 125 ms and one voter of three
	// dead, leaders stepped down every few seconds under a load of 12 for each core.
	heartbeatTimeout = 400 * time.Millisecond
	electionTimeout  = 400 * time.Millisecond
	leaseTimeout     = 300 * time.Millisecond
	// commitTimeout is also how often an idle leader writes to each follower: at 5 ms, a tenth of a core for two of them. See
	// driver.nudge for what makes commits known sooner.
	commitTimeout = 50 * time.Millisecond

	snapshotInterval  = 30 * time.Second
	snapshotThreshold = 4096     // entries since the last snapshot
	snapshotBytes     = 16 << 20 // or bytes of batches
	trailingLogs      = 256      // entries kept behind a snapshot for followers that are a little late

	minFree = 4 << 20 // bytes; less is a full disk
)

// Open starts it. It returns before a leader is known: see WaitReady. A directory of another node is refused.
func Open(o Options) (*Quorum, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Advertise == "" && o.Listener != nil {
		o.Advertise = o.Listener.Addr().String()
	}
	for _, v := range o.Voters {
		if v.NodeID == o.NodeID {
			o.Advertise = v.Address // as the others have it
		}
	}
	if o.Listener == nil {
		return nil, errors.New("quorum: no cluster listener")
	}
	q := &Quorum{
		options: o, id: raft.ServerID(serverID(o.NodeID, o.DirectoryID)),
		fatal: newFatal(o.OnFatal, o.Logger), closing: make(chan struct{}), changed: make(chan struct{}),
		served: map[*served]bool{}, joining: make(chan struct{}, 1),
	}
	q.submits = &links{q: q, purpose: purposeAsk}
	q.alive = &links{q: q, purpose: purposeAlive, broken: func(server, address string) {
		q.spawn(func() { q.leaderGone(server, address) })
	}}
	q.fs = newFullFS(o.Env.FS.VFS(), q.diskFull)
	q.feed = newFeed()
	q.fsm = newFSM(q.feed.publish, q.fatal)
	q.driver = newDriver(q)
	if err := q.openDirectory(); err != nil {
		return nil, errors.Join(err, q.abandon())
	}
	if err := q.startRaft(); err != nil {
		return nil, errors.Join(err, q.abandon())
	}
	return q, nil
}

// ErrNoState is why a directory that must hold metadata is refused.
var ErrNoState = errors.New("no metadata")

func serverID(node int32, directory [16]byte) string {
	return fmt.Sprintf("%d.%s", node, kafkaproto.TopicID(directory))
}

// nodeOf is the node id in a ServerID.
func nodeOf(id raft.ServerID) (int32, bool) {
	node, _, ok := strings.Cut(string(id), ".")
	n, err := strconv.ParseInt(node, 10, 32)
	return int32(n), ok && err == nil
}

func (q *Quorum) openDirectory() (err error) {
	o := q.options
	fs := o.Env.FS.VFS()
	if err := makeDir(fs, o.Dir); err != nil {
		return err
	}
	q.snapshots, err = openSnapshots(fs, fs.PathJoin(o.Dir, "snapshots"), q.fatal, o.Events.SnapshotTaken)
	if err != nil {
		return err
	}
	q.store, err = openStore(fs.PathJoin(o.Dir, "store"), q.fs, q.fatal)
	return err
}

// config is raft's configuration.
func (q *Quorum) config() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = q.id
	c.HeartbeatTimeout = heartbeatTimeout
	c.ElectionTimeout = electionTimeout
	c.LeaderLeaseTimeout = leaseTimeout
	c.CommitTimeout = commitTimeout
	c.SnapshotInterval = snapshotInterval
	c.SnapshotThreshold = snapshotThreshold
	c.TrailingLogs = trailingLogs
	c.ShutdownOnRemove = false
	c.NotifyCh = q.driver.leadership
	c.NoLegacyTelemetry = true
	c.Logger = newRaftLogger(q.options.Logger, q.repeats, q.stream.isClosing)
	return c
}

func (q *Quorum) startRaft() error {
	q.repeats = &seldom{now: q.options.Env.Clock.Now}
	q.stream = newStream(q.options, q.hello, q.serve, q.repeats)
	config := q.config()
	q.progress.now = q.options.Env.Clock.Now
	q.progress.end = func() uint64 {
		last, _ := q.store.LastIndex() // it has no error
		return last
	}
	q.transport = newTransport(q.stream, &q.progress, config.Logger)
	if err := q.checkOthers(); err != nil {
		return err
	}
	if err := q.bootstrap(); err != nil {
		return err
	}
	r, err := raft.NewRaft(config, q.fsm, q.store, q.store, q.snapshots, q.transport)
	if err != nil {
		return fmt.Errorf("raft in %s: %w", q.options.Dir, err)
	}
	q.raft.Store(r)
	r.RegisterObserver(raft.NewObserver(q.driver.observed, false, nil))
	q.running.Add(1)
	go q.driver.run()
	if via := q.others(); len(via) > 0 {
		q.spawn(func() { q.join(via) })
	}
	members := r.GetConfiguration()
	if members.Error() == nil && onlyVoter(members.Configuration(), q.id) {
		q.transport.campaign(q.id, config.ProtocolVersion)
	}
	return nil
}

// bootstrap gives an empty directory its first members, or refuses it.
func (q *Quorum) bootstrap() error {
	if !q.store.empty() {
		return nil
	}
	if any, err := q.snapshots.any(); err != nil || any {
		return errors.Join(err, fmt.Errorf("%s has a snapshot but no log", q.options.Dir))
	}
	if q.options.MustExist {
		return ErrNoState
	}
	if len(q.options.Join) > 0 {
		return nil
	}
	servers, err := q.founders()
	if err != nil || servers == nil {
		return err
	}
	q.store.bootstrap(raft.Configuration{Servers: servers})
	return nil
}

// others are the members that a node may have to ask to be taken in.
func (q *Quorum) others() []string {
	addresses := slices.Clone(q.options.Join)
	for _, v := range q.options.Voters {
		if v.NodeID != q.options.NodeID {
			addresses = append(addresses, v.Address)
		}
	}
	return addresses
}

func onlyVoter(c raft.Configuration, id raft.ServerID) bool {
	voters, self := 0, false
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			voters++
			self = self || s.ID == id
		}
	}
	return self && voters == 1
}

// hello is what this node says of itself on the cluster listener.
func (q *Quorum) hello(caller string) hello {
	h := hello{ClusterID: q.fsm.image.Load().ClusterID(), NodeID: q.options.NodeID, DirectoryID: q.options.DirectoryID}
	if caller == "" && h.ClusterID == "" {
		h.ClusterID = q.options.ClusterID // of the data directory: nobody else's cluster may take it in
	}
	if r := q.raft.Load(); r != nil && caller != "" {
		members := r.GetConfiguration() // of this moment, without a round
		h.Member = members.Error() == nil && slices.ContainsFunc(members.Configuration().Servers, func(s raft.Server) bool {
			return string(s.ID) == caller
		})
	}
	return h
}

func (q *Quorum) diskFull(full bool) {
	if full {
		q.options.Logger.Warn("the disk that holds the metadata is full: its last write waits for room")
	}
	if f := q.options.Events.DiskFull; f != nil {
		f(full)
	}
}

// Close stops and closes the listener. After a fatal error it returns at once and leaves behind what can't be stopped.
func (q *Quorum) Close() error {
	var err error
	q.once.Do(func() {
		q.StepDown()
		err = q.close()
	})
	return err
}

func (q *Quorum) close() error {
	close(q.closing)
	_ = q.stream.refuse() // first: those who lose their connection look whether anybody still listens here
	q.hangUp()
	if q.fatal.failed() || q.fs.full() {
		q.fs.close()
		go q.feed.close()
		return q.transport.Close()
	}
	err := q.raft.Load().Shutdown().Error() // closes the transport, and that the stream
	q.feed.close()
	q.running.Wait()
	q.fs.close()
	return errors.Join(err, q.store.close())
}

// StepDown has another voter be the active controller, if this node is: else the others would first have to notice that
// nobody is. It takes an election timeout at most.
func (q *Quorum) StepDown() {
	if q.fatal.failed() || q.fs.full() {
		return
	}
	r := q.raft.Load()
	members := r.GetConfiguration()
	if r.State() != raft.Leader || members.Error() != nil || onlyVoter(members.Configuration(), q.id) {
		return
	}
	if err := r.LeadershipTransfer().Error(); err != nil {
		q.options.Logger.Info("the leadership of the metadata quorum was not handed over", "error", err)
	}
}

// abandon undoes an Open that failed.
func (q *Quorum) abandon() error {
	close(q.closing)
	q.hangUp()
	var err error
	if q.transport != nil {
		err = q.transport.Close()
	} else {
		err = q.options.Listener.Close()
	}
	q.feed.close()
	q.fs.close()
	if q.store != nil {
		err = errors.Join(err, q.store.close())
	}
	return err
}
