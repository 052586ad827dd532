package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/streambus/streambus/admin"
	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/controller/quorum"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/partition"
	"github.com/streambus/streambus/peer"
	"github.com/streambus/streambus/shard"
	"github.com/streambus/streambus/telemetry"
)

// startTimeout bounds how long each step of a start may wait for the quorum. Opening it waits longer, for voters that are
// named in the configuration and have never been there.
const startTimeout = 30 * time.Second

// Options is what a Node is made of. All three are required.
type Options struct {
	Config *config.Config
	Env    env.Env
	Logger *slog.Logger
}

// Node is one running process' worth of StreamBus.
type Node struct {
	o        Options
	log      *slog.Logger
	set      settings
	metrics  *telemetry.Metrics
	dirs     []*directory
	dirsMu   sync.Mutex // guards what directory.failed needs to know, during the start
	quorum   *quorum.Quorum
	manager  *partition.Manager
	peers    *peer.Pool
	doubts   doubts
	ahead    rounds // of hearing what the controller has decided
	groups   *shard.Host
	server   *broker.Server
	admin    *admin.Server
	forgot   bool  // records that were synced are lost here
	lost     bool  // directories that held replicas are gone for good
	epoch    int64 // of the registration
	clients  []net.Listener
	adminLis net.Listener
	ready    chan struct{} // closed when clients are served

	ending  context.Context // ends when a stop begins or something fatal happened
	end     context.CancelCauseFunc
	running sync.WaitGroup
	stop    sync.Once
	stopErr error
}

// errStopped is the cause of an end that was asked for.
var errStopped = errors.New("stopped")

// Start brings a node up. When it returns, clients are served and the broker is registered; an error leaves nothing behind.
func Start(ctx context.Context, o Options) (*Node, error) {
	set, err := readSettings(o.Config)
	if err != nil {
		return nil, err
	}
	n := &Node{o: o, log: o.Logger, set: set, ready: make(chan struct{}), metrics: telemetry.New(o.Logger)}
	n.doubts.n = n
	n.doubts.rounds = rounds{work: n.doubts.ask, run: n.running.Go}
	n.ahead = rounds{work: n.hear, run: n.running.Go}
	n.ending, n.end = context.WithCancelCause(context.Background())
	steps := []func(context.Context) error{n.openDirectories, n.openQuorum, n.mend, n.bind, n.register, n.serve}
	if !set.broker {
		steps = []func(context.Context) error{n.openDirectories, n.openQuorum, n.mend, n.bind, n.serveController}
	}
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		err := step(ctx)
		cancel()
		if err != nil {
			n.end(err)
			n.close(context.Background())
			return nil, err
		}
	}
	return n, nil
}

// openQuorum starts this node's part of the metadata quorum and waits until what was committed is known here.
func (n *Node) openQuorum(ctx context.Context) error {
	l, err := n.o.Env.Net.Listen("tcp", n.set.cluster.Addr())
	if err != nil {
		return fmt.Errorf("cluster listener: %w", err)
	}
	n.quorum, err = quorum.Open(quorum.Options{
		Env: n.o.Env, Dir: n.raftDir(), NodeID: n.set.nodeID, DirectoryID: n.dirs[0].dir.ID(), Listener: l,
		Advertise: advertised(n.set.cluster, l), Voters: n.set.voters, Join: n.set.join, Observer: !n.set.controller, Defaults: n.set.defaults, ClusterID: n.dirs[0].dir.ClusterID(),
		MustExist: n.records() != "" && !n.set.noRaft,
		Events:    n.metrics.QuorumEvents(), Logger: n.log,
		OnFatal: func(err error) { n.fail(fmt.Errorf("metadata in %s failed: %w", n.raftDir(), err)) },
	})
	if errors.Is(err, quorum.ErrNoState) {
		err = fmt.Errorf("%s holds records, but there is no metadata in %s: restore it, or start once with "+
			"--set unsafe.allow.empty.metadata=true, which starts with no topics and quarantines the records", n.records(), n.raftDir())
	}
	if err != nil {
		_ = l.Close()
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if err := n.quorum.WaitReady(ctx); err != nil {
		return fmt.Errorf("waiting for the metadata quorum: %w", err)
	}
	return n.joinCluster(n.quorum.Image().ClusterID())
}

// bind opens the clients' listeners, so that the addresses to register are known and a taken port is found before anything
// changes. Nobody is accepted yet.
func (n *Node) bind(context.Context) error {
	for i := range n.set.listeners {
		l, err := n.o.Env.Net.Listen("tcp", n.set.listeners[i].Addr())
		if err != nil {
			return fmt.Errorf("listener %s: %w", n.set.listeners[i].Name, err)
		}
		n.clients = append(n.clients, l)
	}
	if n.set.admin == "" {
		return nil
	}
	l, err := n.o.Env.Net.Listen("tcp", n.set.admin)
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	n.adminLis = l
	return nil
}

// advertised is host:port as others reach a listener that is bound to l.
func advertised(c config.Listener, l net.Listener) string {
	return net.JoinHostPort(c.AdvertisedHost, strconv.Itoa(advertisedPort(c, l)))
}

func advertisedPort(c config.Listener, l net.Listener) int {
	if c.AdvertisedPort != 0 {
		return int(c.AdvertisedPort)
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// register makes this start of the broker known, which gives every partition it leads a new leader epoch, and then brings
// the partitions up in that epoch.
func (n *Node) register(ctx context.Context) error {
	n.openPeers()
	manager := partition.NewManager(partition.Options{
		Env: n.o.Env, NodeID: n.set.nodeID, Dirs: n.partitionDirs(), Lost: n.lost && !n.o.Config.Bool("unsafe.accept.corruption"), Config: n.o.Config,
		Events: n.metrics.PartitionEvents(),
		Quorum: n.quorum, Peers: partition.PeersOf(n.peers), Lease: n.quorum.Lease,
	})
	n.dirsMu.Lock()
	n.manager = manager
	n.dirsMu.Unlock()
	n.openGroups()
	n.scrub()
	clean := !slices.ContainsFunc(n.dirs, func(d *directory) bool { return !d.clean })
	cmd := controller.RegisterBroker{
		ID: n.set.nodeID, Rack: n.set.rack, Directories: n.directoryIDs(),
		Clean: (clean || partition.Flushes(n.o.Config, n.quorum.Image(), n.set.nodeID)) && !n.forgot,
	}
	n.o.Env.Rand.Read(cmd.Incarnation[:])
	for i, l := range n.set.listeners {
		cmd.Listeners = append(cmd.Listeners, controller.Listener{
			Name: l.Name, Protocol: l.Protocol, Host: l.AdvertisedHost, Port: int32(advertisedPort(l, n.clients[i])),
		})
	}
	answer, err := n.submitRegistration(ctx, cmd)
	if err != nil {
		return fmt.Errorf("registering broker %d: %w", n.set.nodeID, err)
	}
	n.epoch = answer.(controller.RegisterBrokerAnswer).Epoch
	applied := make(chan struct{})
	var first sync.Once
	follow := n.follow()
	n.quorum.Watch(func(next *controller.Image, c controller.Changes) {
		follow(next, c)
		first.Do(func() { close(applied) })
	})
	select {
	case <-applied:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := n.found(); err != nil {
		return err
	}
	_, err = n.quorum.Submit(ctx, controller.UnfenceBroker{ID: n.set.nodeID, Epoch: n.epoch})
	return err
}

// serve opens the doors.
func (n *Node) serve(context.Context) error {
	n.server = broker.NewServer(broker.Options{
		Env: n.o.Env, Config: n.o.Config, NodeID: n.set.nodeID, ClusterID: n.dirs[0].dir.ClusterID,
		Quorum: n.quorum, Partitions: n.manager, Groups: n.groups, Events: n.metrics.BrokerEvents(), Logger: n.log,
		Settle: n.doubts.settle, CatchUp: n.catchUp,
	})
	n.running.Go(n.beat)
	for i, l := range n.clients {
		name := n.set.listeners[i].Name
		n.running.Go(func() { n.server.Serve(l, name) })
		n.log.Info("listening", "listener", name, "address", l.Addr().String(), "advertised", advertised(n.set.listeners[i], l))
	}
	n.metrics.Watch(telemetry.Source{
		Engine: n.stats, Offline: n.offline, Partitions: func() int { return len(n.manager.Partitions()) }, Controller: n.quorum.Leader,
		Groups: n.countGroups,
	})
	n.serveAdmin()
	close(n.ready)
	return nil
}

// serveController is what a node has to do that is no broker: its part of the quorum works already.
func (n *Node) serveController(context.Context) error {
	n.metrics.Watch(telemetry.Source{
		Engine: n.stats, Offline: n.offline, Partitions: func() int { return 0 }, Controller: n.quorum.Leader,
		Groups: func() map[string]int { return nil },
	})
	n.serveAdmin()
	close(n.ready)
	return nil
}

func (n *Node) serveAdmin() {
	if n.adminLis != nil {
		n.admin = admin.New(admin.Options{Logger: n.log, Metrics: n.metrics.Handler(), Alive: n.alive, Ready: n.serving})
		n.running.Go(func() { n.admin.Serve(n.adminLis) })
		n.log.Info("listening", "listener", "ADMIN", "address", n.adminLis.Addr().String())
	}
}

// serving is the answer to /readyz.
func (n *Node) serving() error {
	select {
	case <-n.ending.Done():
		return context.Cause(n.ending)
	case <-n.ready:
		return n.alive()
	default:
		return errors.New("starting")
	}
}

// Addr is the address of the first client listener; empty if there is none, on a node that is no broker.
func (n *Node) Addr() string {
	if len(n.clients) == 0 {
		return ""
	}
	return n.clients[0].Addr().String()
}

// AdminAddr is the address of the admin listener; empty if there is none.
func (n *Node) AdminAddr() string {
	if n.adminLis == nil {
		return ""
	}
	return n.adminLis.Addr().String()
}

// fail ends the node for a reason that leaves nothing to serve.
func (n *Node) fail(err error) {
	n.log.Error("ending", "error", err)
	n.end(err)
}

// Wait returns when the node ends: nil after Stop was asked for, else the reason. Stop must be called in any case.
func (n *Node) Wait() error {
	<-n.ending.Done()
	if err := context.Cause(n.ending); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}
