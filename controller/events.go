package controller

import "github.com/streambus/streambus/kafkaproto"

// Event is something that happened to the metadata: what is replicated, replayed and kept in snapshots. Events say what is
// so from now on, not how it came about, so that nodes of different versions replay them alike. A kind's number and the
// meaning of its fields never change; new fields come at the end under a higher version (coder.go).
type Event interface {
	kind() eventKind
	code(c *coder)
}

type eventKind uint64

const (
	kindClusterCreated       eventKind = 1
	kindFeatureChanged       eventKind = 2
	kindTopicCreated         eventKind = 3
	kindPartitionChanged     eventKind = 4
	kindTopicDeleted         eventKind = 5
	kindBrokerRegistered     eventKind = 6
	kindBrokerChanged        eventKind = 7
	kindBrokerUnregistered   eventKind = 8
	kindConfigChanged        eventKind = 9
	kindProducerIDsAllocated eventKind = 10
)

// newEvent makes an empty event of a kind, nil if the kind is unknown.
func newEvent(k eventKind) Event {
	switch k {
	case kindClusterCreated:
		return &ClusterCreated{}
	case kindFeatureChanged:
		return &FeatureChanged{}
	case kindTopicCreated:
		return &TopicCreated{}
	case kindPartitionChanged:
		return &PartitionChanged{}
	case kindTopicDeleted:
		return &TopicDeleted{}
	case kindBrokerRegistered:
		return &BrokerRegistered{}
	case kindBrokerChanged:
		return &BrokerChanged{}
	case kindBrokerUnregistered:
		return &BrokerUnregistered{}
	case kindConfigChanged:
		return &ConfigChanged{}
	case kindProducerIDsAllocated:
		return &ProducerIDsAllocated{}
	}
	return nil
}

// ClusterCreated gives the cluster its id, once.
type ClusterCreated struct{ ClusterID string }

// FeatureChanged finalizes a feature at a level; 0 takes it back. Epoch is the new FeaturesEpoch.
type FeatureChanged struct {
	Name  string
	Level int16
	Epoch int64
}

// TopicCreated makes a topic without partitions; PartitionChanged events for 0, 1, 2... follow.
type TopicCreated struct {
	ID   kafkaproto.TopicID
	Name string
}

// PartitionChanged is the whole new state of a partition. The first for a partition makes it.
type PartitionChanged struct {
	Topic     kafkaproto.TopicID
	Partition Partition
}

// TopicDeleted removes a topic with its partitions and configs.
type TopicDeleted struct{ ID kafkaproto.TopicID }

// BrokerRegistered is a whole registration; it replaces the one before.
type BrokerRegistered struct{ Broker Broker }

// BrokerChanged changes what a registered broker may do.
type BrokerChanged struct {
	ID           int32
	Epoch        int64
	Fenced       bool
	ShuttingDown bool
}

// BrokerUnregistered forgets a broker.
type BrokerUnregistered struct {
	ID    int32
	Epoch int64
}

// ConfigChanged sets or, if Value is nil, removes one key of a resource.
type ConfigChanged struct {
	Resource ConfigResource
	Key      string
	Value    *string
}

// ProducerIDsAllocated moves the next free producer id; a broker got those below.
type ProducerIDsAllocated struct {
	BrokerID    int32
	BrokerEpoch int64
	Next        int64
}

func (*ClusterCreated) kind() eventKind       { return kindClusterCreated }
func (*FeatureChanged) kind() eventKind       { return kindFeatureChanged }
func (*TopicCreated) kind() eventKind         { return kindTopicCreated }
func (*PartitionChanged) kind() eventKind     { return kindPartitionChanged }
func (*TopicDeleted) kind() eventKind         { return kindTopicDeleted }
func (*BrokerRegistered) kind() eventKind     { return kindBrokerRegistered }
func (*BrokerChanged) kind() eventKind        { return kindBrokerChanged }
func (*BrokerUnregistered) kind() eventKind   { return kindBrokerUnregistered }
func (*ConfigChanged) kind() eventKind        { return kindConfigChanged }
func (*ProducerIDsAllocated) kind() eventKind { return kindProducerIDsAllocated }

func (e *ClusterCreated) code(c *coder) { c.str(&e.ClusterID) }

func (e *FeatureChanged) code(c *coder) {
	c.str(&e.Name)
	c.int16(&e.Level)
	c.int64(&e.Epoch)
}

func (e *TopicCreated) code(c *coder) {
	c.uuid((*[16]byte)(&e.ID))
	c.str(&e.Name)
}

func (e *PartitionChanged) code(c *coder) {
	c.uuid((*[16]byte)(&e.Topic))
	codePartition(c, &e.Partition)
}

func codePartition(c *coder, p *Partition) {
	c.int32((*int32)(&p.ID))
	c.int32(&p.Leader)
	c.int32((*int32)(&p.LeaderEpoch))
	c.int32(&p.PartitionEpoch)
	c.ints(&p.Replicas, nil)
	c.ints(&p.ISR, p.Replicas)
	c.ints(&p.ELR, nil)
	c.ints(&p.LastKnownELR, nil)
	c.ints(&p.Adding, nil)
	c.ints(&p.Removing, nil)
}

func (e *TopicDeleted) code(c *coder) { c.uuid((*[16]byte)(&e.ID)) }

func (e *BrokerRegistered) code(c *coder) {
	b := &e.Broker
	c.int32(&b.ID)
	c.int64(&b.Epoch)
	c.uuid(&b.Incarnation)
	c.optional(&b.Rack)
	c.bool(&b.Fenced)
	c.bool(&b.ShuttingDown)
	codeListeners(c, &b.Listeners)
	sliceOf(c, &b.Directories, (*coder).uuid)
}

func (e *BrokerChanged) code(c *coder) {
	c.int32(&e.ID)
	c.int64(&e.Epoch)
	c.bool(&e.Fenced)
	c.bool(&e.ShuttingDown)
}

func (e *BrokerUnregistered) code(c *coder) {
	c.int32(&e.ID)
	c.int64(&e.Epoch)
}

func (e *ConfigChanged) code(c *coder) {
	codeResource(c, &e.Resource.Kind, &e.Resource.Name)
	c.str(&e.Key)
	c.optional(&e.Value)
}

func (e *ProducerIDsAllocated) code(c *coder) {
	c.int32(&e.BrokerID)
	c.int64(&e.BrokerEpoch)
	c.int64(&e.Next)
}
