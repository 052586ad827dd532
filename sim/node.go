package sim

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
	"github.com/streambus/streambus/shard"
)

// node is a machine with its disk, and the process that runs on it.
type node struct {
	s       *Sim
	id      int32
	disk    *disk
	life    *life // nil: no process
	lives   int
	powered bool // the machine runs, so that a connection to a dead process is refused
	paused  bool
	stash   []*event // what is to happen when it goes on
	drift   float64
	jump    time.Duration
}

// life is one process, from its start to its end. What a dead one still does is seen by nobody.
type life struct {
	s     *Sim
	n     *node
	no    int
	alive bool
	clock *nodeClock

	dir     *log.Directory
	engine  *log.Engine
	manager *partition.Manager
	host    *shard.Host
	fetches *fetchServer
	clean   bool
	epoch   int64
	opened  bool          // the directory is open
	serving bool          // registered and unfenced once
	ended   chan struct{} // closed when the process is to end
	closed  bool          // ended is
	asked   map[*rpc]bool // requests that are not answered

	// Of the quorum: member_quorum.go.
	leader     int32
	term       uint64
	fed        uint64            // index of the last batch that came
	seen       uint64            // and of the last that its watchers saw
	image      *controller.Image // as seen
	watching   bool
	first      bool
	lease      atomic.Pointer[time.Time]
	submits    []*submitted
	waitSeen   []indexWait
	waitFed    []indexWait
	queueMu    sync.Mutex
	images     []committed
	imagesCame chan struct{}
}

func (n *node) unstash(e *event) bool {
	for i, s := range n.stash {
		if s == e {
			n.stash = append(n.stash[:i:i], n.stash[i+1:]...)
			return true
		}
	}
	return false
}

// pause stops the process as SIGSTOP does; resume lets it go on with all that has come meanwhile.
func (n *node) pause() { n.paused = true }

func (n *node) resume() {
	n.paused = false
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	for _, e := range n.stash {
		n.s.add(n.s.now(), e)
	}
	n.stash = nil
}

// start begins a life.
func (n *node) start() {
	if n.life != nil {
		return
	}
	n.lives++
	n.powered = true
	l := &life{s: n.s, n: n, no: n.lives, alive: true, ended: make(chan struct{}), asked: map[*rpc]bool{}, imagesCame: make(chan struct{}, 1), first: true}
	l.clock = &nodeClock{s: n.s, n: n, life: l, drift: n.drift}
	l.clock.jump.Store(int64(n.jump))
	l.image = controller.NewImage()
	l.lease.Store(&time.Time{})
	n.life = l
	n.s.note(n.name(), "starts, life %d", l.no)
	go l.run(n.disk)
}

func (n *node) name() string { return "node" + string(rune('0'+n.id)) }

// run opens what a process is made of, and closes it in the end.
func (l *life) run(d *disk) {
	if err := l.open(d); err != nil {
		l.s.after(0, &event{life: l, what: "start failed", do: func() {
			l.startFailed(err)
		}})
	} else {
		l.s.after(0, &event{owner: l.n, life: l, what: "opened", do: l.register})
		l.follow()
	}
	<-l.ended
	if l.engine != nil {
		l.host.Close()
		l.manager.Close()
		_ = l.engine.Close()
	}
	if l.dir != nil {
		_ = l.dir.Close()
	}
	l.s.after(0, &event{life: l, what: "stopped", do: l.stopped})
}

// startFailed ends a process that could not open its directory. On a full disk that may be: it is started again, as a
// service manager does.
func (l *life) startFailed(err error) {
	if !errors.Is(err, syscall.ENOSPC) {
		l.s.check.fail("%s can't start: %v", l.n.name(), err)
		return
	}
	l.s.note(l.n.name(), "can't start: %v", err)
	l.n.kill(false)
	l.s.later(time.Second, "restart", l.n.start)
}

func (l *life) open(d *disk) (err error) {
	s := l.s
	e := env.Env{Clock: l.clock, Rand: nodeRand{dice{s, streamEnv, l.n.id}}, FS: d}
	if l.dir, err = log.OpenDirectory(e, "data", l.n.id); err != nil {
		return err
	}
	engine, err := log.Open(log.Options{
		Directory: l.dir, Env: e, FlushPolicy: s.plan.policy.flush(), FlushInterval: s.plan.flushInterval, FileBytes: s.plan.fileBytes,
		ReserveBytes: 1 << 20, Events: log.Events{
			Recovered:  func(r log.Recovery) { l.clean = r.Clean },
			Corruption: func(err *log.CorruptionError) { s.fromInside("%s: %v", l.n.name(), err) },
			Trouble:    func(what string, err error) { s.note(l.n.name(), "trouble: %s: %v", what, err) },
		},
		OnFailed: func(err error) { s.fromInside("%s: the directory failed: %v", l.n.name(), err) },
	})
	if err != nil {
		return err
	}
	l.fetches = newFetchServer(l)
	l.manager = partition.NewManager(partition.Options{
		Env: e, NodeID: l.n.id, Dirs: []partition.Dir{{Path: "data", Directory: l.dir, Engine: engine}}, Config: s.plan.config, Quorum: l, Peers: peers{l}, Lease: func() time.Time { return *l.lease.Load() },
		Events: partition.Events{Offline: func(ids []kafkaproto.TopicPartition, err error) { s.note(l.n.name(), "offline: %v: %v", ids, err) }},
	})
	l.host = shard.NewHost(shard.Options{
		Env: e, NodeID: l.n.id, Topic: offsetsTopic, Partitions: l.manager, Lease: func() time.Time { return *l.lease.Load() },
		New:   func(int32) shard.Machine { return groups.New(s.plan.groupOptions()) },
		Timer: func(key string) any { return groups.TimerFired{Key: key} }, Writes: groups.Writes,
	})
	l.engine = engine
	return nil
}

// fromInside fails the run from a goroutine of the product.
func (s *Sim) fromInside(format string, args ...any) {
	s.later(0, "finding", func() { s.check.fail(format, args...) })
}

// register makes the process known, has it see the metadata, and then lets it serve: what node does at its start.
func (l *life) register() {
	l.opened = true
	if l.fed == 0 { // not before the metadata is known, as quorum.WaitReady has it
		l.s.after(5*time.Millisecond, &event{owner: l.n, life: l, what: "wait for the quorum", do: l.register})
		return
	}
	c := controller.RegisterBroker{ID: l.n.id, Clean: l.clean || partition.Flushes(l.s.plan.config, l.newest(), l.n.id)}
	c.Incarnation[0], c.Incarnation[1], c.Incarnation[2] = byte(l.n.id), byte(l.no), 1
	id := l.dir.ID()
	c.Directories = [][16]byte{id}
	c.Listeners = []controller.Listener{{Name: "CLIENT", Protocol: "PLAINTEXT", Host: l.n.name(), Port: 9092}}
	l.submit(c, func(v any, err error) {
		if err != nil {
			l.s.check.fail("%s can't register: %v", l.n.name(), err)
			return
		}
		l.epoch = v.(controller.RegisterBrokerAnswer).Epoch
		l.queueMu.Lock()
		l.watching = true
		l.queueMu.Unlock()
		select {
		case l.imagesCame <- struct{}{}:
		default:
		}
		l.whenSeen(l.fed, func() {
			l.submit(controller.UnfenceBroker{ID: l.n.id, Epoch: l.epoch}, func(_ any, err error) {
				l.s.note(l.n.name(), "serves, epoch %d: %v", l.epoch, err)
				l.serving = true
				l.beat()
			})
		})
	})
}

// newest is the image of the last batch that has come, seen or not.
func (l *life) newest() *controller.Image {
	l.queueMu.Lock()
	defer l.queueMu.Unlock()
	if n := len(l.images); n > 0 {
		return l.images[n-1].image
	}
	return l.image
}

// beat sends heartbeats for as long as the process lives.
func (l *life) beat() {
	l.submit(controller.BrokerHeartbeat{ID: l.n.id, Epoch: l.epoch}, func(any, error) {})
	l.s.after(l.clock.wait(heartbeatTime), &event{owner: l.n, life: l, what: "heartbeat", do: l.beat})
}

// kill ends the process at once. With power the machine dies too, and what was not synced may be lost.
func (n *node) kill(power bool) {
	l := n.life
	if l == nil {
		if power && n.powered {
			n.powered = false
			n.loseDisk(true)
		}
		return
	}
	how := "is killed"
	if power {
		how = "loses power"
	}
	n.s.note(n.name(), "%s", how)
	l.alive, n.life = false, nil
	old := n.loseDisk(power)
	l.end()
	old.release()
	n.powered = !power
	l.hangUp(!power)
	if !power {
		n.s.net.resetHost(n.id)
	}
	n.paused = false
	n.s.mu.Lock()
	n.stash = nil
	n.s.mu.Unlock()
}

// loseDisk replaces the disk by what is left of it.
func (n *node) loseDisk(power bool) *disk {
	d := dice{n.s, streamCrash, n.id}
	old := n.disk
	old.abandon()
	kept := []int{0, 30, 70, 100}[d.below(4)]
	n.disk = old.clone(power, kept, d)
	return old
}

func (l *life) end() {
	if !l.closed {
		l.closed = true
		close(l.ended)
	}
}

// shutDown stops the process as SIGTERM does: leadership is handed over, then all is closed.
func (n *node) shutDown() {
	l := n.life
	if l == nil || !l.serving {
		return
	}
	n.s.note(n.name(), "is asked to stop")
	handed := false
	stop := func() {
		if !handed && l.alive {
			handed = true
			l.end()
		}
	}
	l.s.after(5*time.Second, &event{owner: n, life: l, what: "hand over", do: stop})
	l.submit(controller.BrokerHeartbeat{ID: n.id, Epoch: l.epoch, WantShutdown: true}, func(any, error) { stop() })
}

// stopped is the end of a process that stopped by itself.
func (l *life) stopped() {
	l.s.note(l.n.name(), "has stopped")
	l.alive, l.n.life = false, nil
	old := l.n.disk
	old.abandon()
	l.n.disk = old.clone(false, 100, dice{l.s, streamCrash, l.n.id})
	l.hangUp(true)
	l.s.net.resetHost(l.n.id)
}

// peers is a life's partition.Peers: requests to other nodes, over the network.
type peers struct{ l *life }

type answered struct {
	value any
	err   error
}

func (p peers) ask(ctx context.Context, to int32, lane string, handle func(l *life, reply func(any))) (any, error) {
	l := p.l
	ch := make(chan answered, 1)
	l.s.after(0, &event{owner: l.n, life: l, what: "ask " + lane, do: func() {
		l.s.ask(l.n.id, to, lane, handle, func(v any, err error) {
			l.s.after(0, &event{owner: l.n, life: l, what: "answered " + lane, do: func() { ch <- answered{v, err} }})
		})
	}})
	select {
	case a := <-ch:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Fetch is as partition.Peers says.
func (p peers) Fetch(ctx context.Context, to int32, lane int, req *kmsg.FetchRequest, then func(partition.Fetched)) {
	go func() { then(p.fetch(ctx, to, lane, req)) }()
}

func (p peers) fetch(ctx context.Context, to int32, lane int, req *kmsg.FetchRequest) partition.Fetched {
	if p.l.s.node(to) == nil {
		return partition.Fetched{Err: errNet}
	}
	v, err := p.ask(ctx, to, lanes[lane-partition.FetchLane], func(at *life, reply func(any)) { at.fetches.serve(req, reply) })
	if err != nil {
		return partition.Fetched{Err: err}
	}
	return partition.Fetched{Response: v.(*kmsg.FetchResponse)}
}

var lanes = [...]string{"fetch0", "fetch1", "fetch2", "fetch3"}

// Do is as partition.Peers says: ListOffsets of one partition.
func (p peers) Do(ctx context.Context, to int32, _ int, req kmsg.Request) (kmsg.Response, error) {
	v, err := p.ask(ctx, to, "offsets", func(at *life, reply func(any)) { reply(at.listForReplica(req.(*kmsg.ListOffsetsRequest))) })
	if err != nil {
		return nil, err
	}
	return v.(kmsg.Response), nil
}

// listForReplica answers a follower that is out of range.
func (l *life) listForReplica(req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	topic, row := req.Topics[0], req.Topics[0].Partitions[0]
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
	if t, ok := l.image.Topic(topic.Topic); ok {
		p, err := l.manager.Partition(kafkaproto.TopicPartition{Topic: t.ID, Partition: kafkaproto.PartitionID(row.Partition)})
		if err == nil {
			var r partition.ListResult
			r, err = p.ListOffset(partition.ListRequest{
				Timestamp: row.Timestamp, Replica: req.ReplicaID >= 0, CurrentLeaderEpoch: kafkaproto.LeaderEpoch(row.CurrentLeaderEpoch),
			})
			out.Offset = int64(r.Offset)
		}
		out.ErrorCode = kafkaproto.Code(err)
	}
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = []kmsg.ListOffsetsResponseTopic{{Partitions: []kmsg.ListOffsetsResponseTopicPartition{out}}}
	return resp
}
