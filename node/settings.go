package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/controller/quorum"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// settings is what the parts of a node take from its configuration, checked.
type settings struct {
	nodeID      int32
	dirs        []string // the first holds the metadata too
	listeners   []config.Listener
	interBroker string // name of the listener that brokers use among themselves
	cluster     config.Listener
	admin       string // empty: none
	rack        *string
	beat        time.Duration
	defaults    controller.Defaults
	voters      []quorum.Voter
	join        []string // cluster listeners of members to join
	broker      bool     // holds partitions
	controller  bool     // votes on metadata, if there is room
	noRaft      bool     // unsafe.allow.empty.metadata
}

func readSettings(c *config.Config) (settings, error) {
	s := settings{
		nodeID: int32(c.Int("node.id")),
		admin:  c.String("admin.listener"),
		beat:   heartbeatInterval(c),
		noRaft: c.Bool("unsafe.allow.empty.metadata"),
		defaults: controller.Defaults{
			NumPartitions:     int32(c.Int("num.partitions")),
			ReplicationFactor: int16(c.Int("default.replication.factor")),
			MinInSyncReplicas: c.Int("min.insync.replicas"),
			UncleanElection:   c.Bool("unclean.leader.election.enable"),
			SessionTimeout:    c.Duration("broker.session.timeout.ms"),
			InternalReplicas:  internalReplicas(c),
		},
	}
	if c.Bool("auto.leader.rebalance.enable") {
		s.defaults.RebalanceInterval = c.Duration("leader.imbalance.check.interval.seconds")
	}
	if c.IsSet("broker.rack") {
		rack := c.String("broker.rack")
		s.rack = &rack
	}
	s.dirs = c.List("log.dirs")
	err := offsetsCodec(c)
	if err != nil {
		return s, err
	}
	if err = s.members(c); err != nil {
		return s, err
	}
	if s.listeners, err = c.Listeners(); err != nil {
		return s, err
	}
	if s.interBroker, err = c.InterBrokerListener(); err != nil {
		return s, err
	}
	s.cluster, err = c.ClusterListener()
	return s, err
}

// heartbeatInterval is how often a broker says that it lives: broker.heartbeat.interval.ms, or often enough for a short
// session.
func heartbeatInterval(c *config.Config) time.Duration {
	return min(c.Duration("broker.heartbeat.interval.ms"), max(c.Duration("broker.session.timeout.ms")/3, time.Millisecond))
}

// offsetsCodec refuses a codec that does not exist. Kafka does so when it starts, too.
func offsetsCodec(c *config.Config) error {
	if codec := c.Int64("offsets.topic.compression.codec"); codec < 0 || codec > int64(kafkaproto.CodecZstd) {
		return fmt.Errorf("offsets.topic.compression.codec is %d, and not 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)", codec)
	}
	return nil
}

// members finds the other nodes: the first voters, if this node is one of them, else the addresses of nodes to join, be they
// named for that or as voters.
func (s *settings) members(c *config.Config) error {
	named, err := c.Voters()
	if err != nil {
		return err
	}
	if s.join, err = c.Join(); err != nil {
		return err
	}
	if slices.ContainsFunc(named, func(v config.Voter) bool { return v.ID == s.nodeID }) {
		s.join = nil
		for _, v := range named {
			s.voters = append(s.voters, quorum.Voter{NodeID: v.ID, Address: v.Addr})
		}
	}
	for _, v := range named {
		if s.voters == nil && !slices.Contains(s.join, v.Addr) {
			s.join = append(s.join, v.Addr)
		}
	}
	roles := c.List("process.roles")
	s.broker, s.controller = slices.Contains(roles, "broker"), slices.Contains(roles, "controller")
	switch {
	case !s.controller && len(s.voters) > 0:
		return errors.New("process.roles is broker alone, and controller.quorum.voters names this node")
	case !s.controller && len(s.join) == 0:
		return errors.New("process.roles is broker alone: controller.quorum.bootstrap.servers (--join) must name nodes that are controllers")
	}
	return nil
}

// engineOptions maps the configuration to the storage engine's options.
func engineOptions(c *config.Config, e env.Env, d *log.Directory) log.Options {
	o := log.Options{
		Directory:          d,
		Env:                e,
		FlushPolicy:        flushPolicy(c.String("log.flush.policy")),
		FileBytes:          c.Int64("log.wal.file.bytes"),
		RecycleBytes:       c.Int64("log.wal.recycle.bytes"),
		UnsealedMaxBytes:   max(c.Int64("log.unsealed.max.bytes"), 0),
		ProducerExpiration: c.Duration("producer.id.expiration.ms"),
		RetentionInterval:  c.Duration("log.retention.check.interval.ms"),
		AcceptCorruption:   c.Bool("unsafe.accept.corruption"),
	}
	if o.RecycleBytes == 0 {
		o.RecycleBytes = -1
	}
	if n := c.Int64("log.dirs.reserve.bytes"); n > 0 {
		o.ReserveBytes = n
	} else if n == 0 {
		o.ReserveBytes = -1
	}
	o.FlushInterval = flushInterval(c)
	return o
}

// cleaning is what log.cleaner.* means for the engine; a rate of 0 is its own.
func cleaning(c *config.Config) (interval time.Duration, mapBytes, bytesPerSecond int64) {
	if rate := c.Float("log.cleaner.io.max.bytes.per.second"); rate < 1<<62 {
		bytesPerSecond = max(int64(rate), 1)
	}
	return max(c.Duration("log.cleaner.backoff.ms"), time.Millisecond), c.Int64("log.cleaner.dedupe.buffer.size"), bytesPerSecond
}

// flushInterval is the interval of log.flush.policy=interval; 0 is the engine's own: Kafka's default is no interval at all.
func flushInterval(c *config.Config) time.Duration {
	if c.IsSet("log.flush.interval.ms") && c.Origin("log.flush.interval.ms") != config.OriginDefault {
		return c.Duration("log.flush.interval.ms")
	}
	return 0
}

func flushPolicy(name string) log.FlushPolicy {
	switch name {
	case "interval":
		return log.FlushInterval
	case "never":
		return log.FlushNever
	}
	return log.FlushAlways
}

// internalReplicas is how many replicas the coordinators' topics get as brokers join, where nobody has set it.
func internalReplicas(c *config.Config) map[string]int16 {
	targets := map[string]int16{}
	for topic, key := range map[string]string{
		offsetsTopic: "offsets.topic.replication.factor", "__transaction_state": "transaction.state.log.replication.factor",
		"__share_group_state": "share.coordinator.state.topic.replication.factor",
	} {
		if c.Origin(key) == config.OriginDefault {
			targets[topic] = int16(c.Int(key))
		}
	}
	return targets
}
