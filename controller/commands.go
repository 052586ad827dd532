package controller

import (
	"slices"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// Command is something that the controller is asked to do. Each says below what it is answered with. A command as a whole
// fails with an error that carries a Kafka code; parts of it (one topic of several) fail inside its answer.
type Command interface{ command() }

// CreateCluster makes the cluster's id and finalizes the features that every cluster has. The first leader gives it; on a
// cluster that has an id it does nothing. Answered with the id (string).
type CreateCluster struct {
	ID [16]byte // random
}

// TakeOver is the first command that a new leader gives its machine: the sessions of all unfenced brokers start anew.
// Answered with nil.
type TakeOver struct{}

// RegisterBroker makes a broker known, fenced at first, under a new epoch, and gives every partition that it leads a new
// leader epoch in the same batch. The same incarnation asking again gets the same epoch. Answered with RegisterBrokerAnswer.
//
// Errors: DUPLICATE_BROKER_REGISTRATION while another incarnation, with other directories, is alive; INVALID_REQUEST.
type RegisterBroker struct {
	ID          int32
	Incarnation [16]byte // random for each start of the process
	Rack        *string
	Listeners   []Listener
	Directories [][16]byte
	// Clean says that nothing this broker ever acknowledged can be missing: it was stopped cleanly, or flushes before it
	// acknowledges. If not, it leaves ISR and ELR wherever another replica is in them (KIP-966).
	Clean bool
}

// RegisterBrokerAnswer answers RegisterBroker.
type RegisterBrokerAnswer struct {
	Epoch int64
}

// UnfenceBroker says that a broker serves now: it may lead from here on. Answered with nil.
// Errors: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type UnfenceBroker struct {
	ID    int32
	Epoch int64
}

// FenceBroker says that a broker's process is dead: the controller saw its connection close and a new one refused. Its
// leaderships move at once, before its session has run out. Answered with nil.
// Errors: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type FenceBroker struct {
	ID    int32
	Epoch int64
}

// ReplicasDamaged says that a broker's replicas of these partitions have lost records to damage. It leaves their ISR and ELR, and
// their leadership, wherever another replica can lead; elsewhere nothing changes. Answered with nil.
// Errors: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type ReplicasDamaged struct {
	BrokerID    int32
	BrokerEpoch int64
	Partitions  []kafkaproto.TopicPartition
}

// BrokerHeartbeat keeps a broker's session alive. Answered with BrokerHeartbeatAnswer.
// Errors: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type BrokerHeartbeat struct {
	ID           int32
	Epoch        int64
	WantFenced   bool // it doesn't serve (yet); a broker that was fenced for silence and does not want it is unfenced
	WantShutdown bool // move my leaderships away
}

// BrokerHeartbeatAnswer answers BrokerHeartbeat.
type BrokerHeartbeatAnswer struct {
	Fenced bool
	// ShutdownAllowed says that nothing more can be moved away, so that the broker may stop.
	ShutdownAllowed bool
}

// UnregisterBroker forgets a broker that is fenced. Answered with nil.
// Errors: BROKER_ID_NOT_REGISTERED; INVALID_REQUEST if it is alive.
type UnregisterBroker struct {
	ID int32
}

// CreateTopics is Kafka's request of that name. Answered with []CreateTopicAnswer, one for each distinct name, in the order
// of the request. IDs and Seed are random; quorum fills them in if they are missing (Randomized).
type CreateTopics struct {
	Topics       []CreateTopic
	ValidateOnly bool
	IDs          []kafkaproto.TopicID // one for each of Topics
	Seed         uint64               // for placement
}

// CreateTopic is one topic of CreateTopics.
type CreateTopic struct {
	Name              string
	NumPartitions     int32 // -1: the cluster's default, or as many as Assignments
	ReplicationFactor int16 // -1: the cluster's default, or as Assignments say
	Assignments       []Assignment
	Configs           map[string]*string // a nil value is refused
}

// Assignment says which brokers hold a partition.
type Assignment struct {
	Partition kafkaproto.PartitionID
	Brokers   []int32
}

// CreateTopicAnswer answers for one topic of CreateTopics. Configs are those that were set.
type CreateTopicAnswer struct {
	Name              string
	ID                kafkaproto.TopicID
	NumPartitions     int32
	ReplicationFactor int16
	Configs           map[string]string
	Err               error
}

// DeleteTopics deletes topics by name or by id. Answered with []DeleteTopicAnswer, one for each row in order.
type DeleteTopics struct {
	Topics []DeleteTopic
}

// DeleteTopic names a topic, by Name if it is not empty, else by ID.
type DeleteTopic struct {
	Name string
	ID   kafkaproto.TopicID
}

// DeleteTopicAnswer answers for one row of DeleteTopics, with both names if the topic was found.
type DeleteTopicAnswer struct {
	Name string
	ID   kafkaproto.TopicID
	Err  error
}

// CreatePartitions is Kafka's request of that name. Answered with []CreatePartitionsAnswer, one for each distinct name, in
// the order of the request.
type CreatePartitions struct {
	Topics       []CreatePartitionsTopic
	ValidateOnly bool
	Seed         uint64
}

// CreatePartitionsTopic asks that a topic gets Count partitions in all.
type CreatePartitionsTopic struct {
	Name  string
	Count int32
	// Assignments of the new partitions, in order; nil to let the controller place them.
	Assignments [][]int32
}

// CreatePartitionsAnswer answers for one topic of CreatePartitions.
type CreatePartitionsAnswer struct {
	Name string
	Err  error
}

// AllocateProducerIDs reserves a block of producer ids for a broker. Answered with AllocateProducerIDsAnswer.
// Errors: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type AllocateProducerIDs struct {
	BrokerID    int32
	BrokerEpoch int64
}

// AllocateProducerIDsAnswer answers AllocateProducerIDs.
type AllocateProducerIDsAnswer struct {
	First kafkaproto.ProducerID
	Count int32
}

// ChangeConfigs changes dynamic configs. Answered with []ChangeConfigsAnswer, one for each of Resources in order. Where
// that allows unclean elections, partitions without a leader get one. Error as a whole: POLICY_VIOLATION for more than
// 10,000 changes.
type ChangeConfigs struct {
	Resources    []ChangeConfig
	ValidateOnly bool
}

// ChangeConfig changes what is set on one resource. A nil value removes a key. With Full, keys that are not named are
// removed too (AlterConfigs); without, they stay (IncrementalAlterConfigs). A key stands in one of the maps only.
type ChangeConfig struct {
	Kind     ConfigKind
	Name     string
	Set      map[string]*string
	Append   map[string]string // elements that a list gets, divided by commas
	Subtract map[string]string // elements that it loses
	Full     bool
}

// ChangeConfigsAnswer answers for one resource of ChangeConfigs.
type ChangeConfigsAnswer struct {
	Resource ConfigResource
	Err      error
}

// AlterPartition is a leader's proposal of new ISRs (KIP-497, KIP-903). Answered with []AlterPartitionAnswer, one for each
// of Partitions in order. Errors as a whole: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED.
type AlterPartition struct {
	BrokerID    int32
	BrokerEpoch int64
	Partitions  []AlterPartitionRow
}

// AlterPartitionRow proposes the ISR of one partition.
type AlterPartitionRow struct {
	ID             kafkaproto.TopicPartition
	LeaderEpoch    kafkaproto.LeaderEpoch
	PartitionEpoch int32
	ISR            []ISRMember
}

// ISRMember is a broker with the epoch of the registration whose fetches were counted; -1 if it is not known.
type ISRMember struct {
	ID    int32
	Epoch int64
}

// AlterPartitionAnswer is the partition as it is now, or why it did not change: UNKNOWN_TOPIC_ID,
// UNKNOWN_TOPIC_OR_PARTITION, FENCED_LEADER_EPOCH, NOT_CONTROLLER (the asker knows more than this controller),
// INVALID_REQUEST, INVALID_UPDATE_VERSION, INELIGIBLE_REPLICA.
type AlterPartitionAnswer struct {
	ID        kafkaproto.TopicPartition
	Partition *Partition
	Err       error
}

// UpdateFeatures changes finalized features, all or none. Answered with nil.
// Errors: FEATURE_UPDATE_FAILED, INVALID_UPDATE_VERSION, INVALID_REQUEST.
type UpdateFeatures struct {
	Updates      []FeatureUpdate
	ValidateOnly bool
}

// FeatureUpdate sets one feature; level 0 is off.
type FeatureUpdate struct {
	Name           string
	Level          int16
	AllowDowngrade bool
}

func (CreateCluster) command()       {}
func (TakeOver) command()            {}
func (RegisterBroker) command()      {}
func (UnfenceBroker) command()       {}
func (FenceBroker) command()         {}
func (ReplicasDamaged) command()     {}
func (BrokerHeartbeat) command()     {}
func (UnregisterBroker) command()    {}
func (CreateTopics) command()        {}
func (DeleteTopics) command()        {}
func (CreatePartitions) command()    {}
func (AllocateProducerIDs) command() {}
func (ChangeConfigs) command()       {}
func (AlterPartition) command()      {}
func (UpdateFeatures) command()      {}

// Randomized is a Command that needs random numbers, which Randomize fills in where the caller left them out. read fills a
// slice with random bytes.
type Randomized interface {
	Command
	Randomize(read func([]byte)) Command
}

// Changes says what differs between two images. A driver that fell behind may merge the changes of several batches.
type Changes struct {
	All      bool // everything may differ: a first look, or a snapshot from elsewhere
	Topics   []kafkaproto.TopicID
	Brokers  []int32
	Configs  []ConfigResource
	Features bool
}

// ConfigsOf says whether anything that is set on resources of a kind may differ.
func (c Changes) ConfigsOf(kind ConfigKind) bool {
	return c.All || slices.ContainsFunc(c.Configs, func(r ConfigResource) bool { return r.Kind == kind })
}

// Defaults are the cluster's defaults and limits, from the static configuration.
type Defaults struct {
	NumPartitions     int32         // num.partitions
	ReplicationFactor int16         // default.replication.factor
	MinInSyncReplicas int           // min.insync.replicas
	UncleanElection   bool          // unclean.leader.election.enable
	SessionTimeout    time.Duration // broker.session.timeout.ms
	// RebalanceInterval is how often leadership goes back to preferred replicas (leader.imbalance.check.interval.seconds); 0:
	// it does not (auto.leader.rebalance.enable).
	RebalanceInterval time.Duration
	// InternalReplicas is how many replicas the coordinators' topics, by name, are to have when there are enough brokers. Those
	// that are not named stay as they are: somebody has set their replication factor.
	InternalReplicas map[string]int16
}
