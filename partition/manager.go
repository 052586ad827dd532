package partition

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// Options is what a Manager is made of. Env, Dirs and Config are required.
type Options struct {
	Env    env.Env
	NodeID int32
	// Dirs are the data directories, at least one of which is open.
	Dirs []Dir
	// Lost says that a directory with replicas is gone. Replicas that are in none then are made anew, but not where nobody else
	// may have what they had.
	Lost   bool
	Config *config.Config // defaults of topics, and the flush policy the engines were opened with
	Events Events
	// Verifier asks transaction coordinators. Without one, the first batch of each transaction is INVALID_TXN_STATE.
	Verifier Verifier
	// Quorum takes proposals of ISRs, Peers fetch from other leaders. Without them there are no other nodes: the ISRs of the
	// metadata hold, and partitions that others lead are not followed.
	Quorum Quorum
	Peers  Peers
	// Lease is until when this broker may take writes as a leader (quorum.Lease): past it another node may have been given
	// its leaderships. nil: for ever. It is asked at each append and must be cheap.
	Lease func() time.Time
}

// Events tell what happens. Each may be nil; none may block.
type Events struct {
	// Quarantined: the metadata doesn't know this log.
	Quarantined func(id kafkaproto.TopicPartition)
	// Offline: the engine could not open, delete or quarantine these logs. For the first two it is asked again.
	Offline func(ids []kafkaproto.TopicPartition, err error)
	// Damaged: records of these logs, which this node leads, are damaged, and the controller was asked to let others lead; err
	// says why it did not hear of it.
	Damaged func(ids []kafkaproto.TopicPartition, err error)
	// Moved: the replica is in another directory now.
	Moved func(id kafkaproto.TopicPartition, to string)
	// BadConfig: a topic's configs can't be read, so the broker's defaults hold for it.
	BadConfig func(topic string, err error)
}

// Manager holds the partitions of this node.
type Manager struct {
	env       env.Env
	nodeID    int32
	dirs      []*Dir
	lost      bool
	config    *config.Config
	policy    log.FlushPolicy
	events    Events
	verifier  Verifier
	started   time.Time
	deadlines deadlines
	quorum    Quorum
	peers     Peers
	lease     func() time.Time
	replica   replicaSettings
	proposals proposals
	fetchers  fetchers
	suspects  suspects
	movers    movers
	incoming  throttle        // what throttled replicas here fetch
	outgoing  throttle        // what is read from here for throttled replicas
	moving    throttle        // what is copied between directories
	ctx       context.Context // until Close
	end       context.CancelFunc

	applying sync.Mutex // one Apply at a time; taken first
	closed   bool       // guarded by applying, as are the next six
	applied  bool       // there was an image before
	undone   undone
	lostLogs map[kafkaproto.TopicPartition]bool // of replicas that can't be served
	wanted   map[wanted]*Dir                    // where replicas are to be made that are not here yet
	shadows  map[kafkaproto.TopicPartition]*Dir // where there is a log of that name that does not count: a copy being made, or what was left of one that has moved
	judging  env.Timer                          // nil without a quorum

	mu     sync.RWMutex // guards what Partition looks at; nothing is called with it held
	image  *controller.Image
	topics map[kafkaproto.TopicID]*hosted
}

// hosted are the replicas of one topic on this node.
type hosted struct {
	settings   *topic
	partitions []*Partition // by partition id; nil where this node has no replica, or could not open it
}

// NewManager makes a Manager without partitions: Apply brings them.
func NewManager(o Options) *Manager {
	m := &Manager{
		env: o.Env, nodeID: o.NodeID, lost: o.Lost, config: o.Config, policy: flushPolicy(o.Config),
		events: o.Events, verifier: o.Verifier, started: o.Env.Clock.Now(),
		image: controller.NewImage(), topics: make(map[kafkaproto.TopicID]*hosted),
		wanted: make(map[wanted]*Dir), lostLogs: make(map[kafkaproto.TopicPartition]bool), shadows: make(map[kafkaproto.TopicPartition]*Dir),
	}
	for _, d := range o.Dirs {
		m.dirs = append(m.dirs, &d)
	}
	m.deadlines.clock, m.deadlines.elapsed = o.Env.Clock, m.elapsed
	m.quorum, m.peers, m.lease, m.replica = o.Quorum, o.Peers, o.Lease, readReplicaSettings(o.Config)
	m.ctx, m.end = context.WithCancel(context.Background())
	m.proposals.m, m.fetchers.m, m.suspects.m, m.movers.m = m, m, m, m
	m.setThrottles()
	if m.quorum != nil {
		m.applying.Lock()
		m.judgeLater()
		m.applying.Unlock()
	}
	return m
}

// Partition finds a partition of which this node has a replica; whether it leads it is checked by what is asked of it.
// Errors: UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION (no such partition), NOT_LEADER_OR_FOLLOWER (on other nodes),
// KAFKA_STORAGE_ERROR (its log could not be opened, and nobody else leads).
func (m *Manager) Partition(id kafkaproto.TopicPartition) (*Partition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if h := m.topics[id.Topic]; h != nil && id.Partition >= 0 && int(id.Partition) < len(h.partitions) {
		if p := h.partitions[id.Partition]; p != nil {
			return p, nil
		}
	}
	return nil, m.absent(id)
}

// absent says why a partition is not here.
func (m *Manager) absent(id kafkaproto.TopicPartition) error {
	if _, ok := m.image.TopicByID(id.Topic); !ok {
		return kafkaproto.ErrUnknownTopicID
	}
	part, ok := m.image.Partition(id)
	switch {
	case !ok:
		return kafkaproto.ErrUnknownTopicOrPartition
	case hosts(part, m.nodeID) && (part.Leader == m.nodeID || part.Leader == controller.NoLeader):
		return kafkaproto.ErrKafkaStorageError
	default:
		return kafkaproto.ErrNotLeaderOrFollower
	}
}

// Partitions goes through all partitions here, in order. It is a copy: some may be gone when they are looked at.
func (m *Manager) Partitions() []*Partition {
	all := m.unordered()
	slices.SortFunc(all, func(a, b *Partition) int { return compareIDs(a.id, b.id) })
	return all
}

func compareTopics(a, b kafkaproto.TopicID) int { return bytes.Compare(a[:], b[:]) }

// compareIDs orders partitions by topic id and number.
func compareIDs(a, b kafkaproto.TopicPartition) int {
	return cmp.Or(compareTopics(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func (m *Manager) unordered() []*Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*Partition
	for _, h := range m.topics {
		for _, p := range h.partitions {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// Close ends serving: those who wait are told that this node leads no more, and images are no longer followed. The
// engines are not closed.
func (m *Manager) Close() {
	m.end()
	m.fetchers.close()
	m.proposals.close()
	m.suspects.close()
	m.movers.close()
	m.applying.Lock()
	defer m.applying.Unlock()
	m.closed = true
	if t := m.undone.timer; t != nil {
		t.Stop()
	}
	if m.judging != nil {
		m.judging.Stop()
	}
	for _, p := range m.Partitions() {
		p.retire(notLeader, leaderHint{controller.NoLeader, p.look(kafkaproto.NoLeaderEpoch).holder.epoch})
	}
	m.deadlines.close()
}

func (m *Manager) now() time.Time { return m.env.Clock.Now() }

// elapsed counts from a moment before the Manager was made, on the clock that does not jump, so it is never 0.
func (m *Manager) elapsed() time.Duration { return m.now().Sub(m.started) + 1 }
