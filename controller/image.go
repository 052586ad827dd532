package controller

import (
	"encoding/binary"
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	"github.com/streambus/streambus/kafkaproto"
)

// NoLeader stands in Partition.Leader while nobody leads.
const NoLeader int32 = -1

// Image is the metadata at one moment. It is immutable, and so is everything reachable from it: a change makes a new image
// that shares what did not change. All methods may be called from any goroutine.
type Image struct {
	clusterID string
	lastIndex uint64

	topicsByName *iradix.Tree[*Topic]
	topicsByID   *iradix.Tree[*Topic]
	unifiedNames *iradix.Tree[string] // names that hold '.' or '_', keyed by their unified form (names.go)
	brokers      *iradix.Tree[*Broker]
	configs      *iradix.Tree[map[string]string]
	partitions   int

	features      map[string]int16
	featuresEpoch int64

	lastBrokerEpoch int64
	nextProducerID  int64
}

// Topic is a topic with all its partitions, in order of their ids.
type Topic struct {
	Name       string
	ID         kafkaproto.TopicID
	Partitions []*Partition
	Internal   bool
}

// Partition is the state of one partition (KIP-455, KIP-497, KIP-966). Lists of brokers are in the order in which they
// were assigned; only Replicas' order means something (the first is the preferred leader).
type Partition struct {
	ID             kafkaproto.PartitionID
	Replicas       []int32
	ISR            []int32
	ELR            []int32 // out of the ISR, but with all committed data
	LastKnownELR   []int32 // who led last, while the ISR is empty
	Adding         []int32
	Removing       []int32
	Leader         int32 // NoLeader if there is none
	LeaderEpoch    kafkaproto.LeaderEpoch
	PartitionEpoch int32 // rises with every change of the partition
}

// Listener is an address at which a broker serves clients or other brokers.
type Listener struct {
	Name     string
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
	Host     string
	Port     int32
}

// Broker is a broker as it last registered.
type Broker struct {
	ID           int32
	Epoch        int64 // of its registration
	Incarnation  [16]byte
	Rack         *string
	Listeners    []Listener
	Directories  [][16]byte
	Fenced       bool
	ShuttingDown bool
}

// Active says whether the broker may lead partitions.
func (b *Broker) Active() bool { return !b.Fenced && !b.ShuttingDown }

// ConfigKind is the kind of thing that a dynamic config is set on, with Kafka's numbers (ConfigResource.Type).
type ConfigKind int8

// Kinds of config resources. A broker config with an empty name holds for the whole cluster.
const (
	TopicConfig         ConfigKind = 2
	BrokerConfig        ConfigKind = 4
	ClientMetricsConfig ConfigKind = 16
	GroupConfig         ConfigKind = 32
)

// ConfigResource is what dynamic configs are set on.
type ConfigResource struct {
	Kind ConfigKind
	Name string
}

// NewImage is the empty image that every cluster starts from.
func NewImage() *Image {
	return &Image{
		topicsByName: iradix.New[*Topic](),
		topicsByID:   iradix.New[*Topic](),
		unifiedNames: iradix.New[string](),
		brokers:      iradix.New[*Broker](),
		configs:      iradix.New[map[string]string](),
	}
}

// ClusterID is the cluster's id, 22 characters of base64url, or empty before the first leader has made it.
func (img *Image) ClusterID() string { return img.clusterID }

// LastIndex is the index of the last batch that was applied; it rises with every change.
func (img *Image) LastIndex() uint64 { return img.lastIndex }

// Topic finds a topic by name.
func (img *Image) Topic(name string) (*Topic, bool) { return img.topicsByName.Get([]byte(name)) }

// TopicByID finds a topic by id.
func (img *Image) TopicByID(id kafkaproto.TopicID) (*Topic, bool) { return img.topicsByID.Get(id[:]) }

// Partition finds a partition by its topic's id and its own.
func (img *Image) Partition(id kafkaproto.TopicPartition) (*Partition, bool) {
	t, ok := img.TopicByID(id.Topic)
	if !ok || id.Partition < 0 || int(id.Partition) >= len(t.Partitions) {
		return nil, false
	}
	return t.Partitions[id.Partition], true
}

// Topics goes through all topics in the order of their names.
func (img *Image) Topics() iter.Seq[*Topic] { return values(img.topicsByName) }

// NumTopics counts the topics.
func (img *Image) NumTopics() int { return img.topicsByName.Len() }

// NumPartitions counts the partitions of all topics.
func (img *Image) NumPartitions() int { return img.partitions }

// Broker finds a registered broker.
func (img *Image) Broker(id int32) (*Broker, bool) { return img.brokers.Get(brokerKey(id)) }

// Brokers goes through the registered brokers, fenced ones too, in the order of their ids.
func (img *Image) Brokers() iter.Seq[*Broker] { return values(img.brokers) }

// Active says whether that broker is registered and may lead partitions.
func (img *Image) Active(id int32) bool {
	b, ok := img.Broker(id)
	return ok && b.Active()
}

// Config is what was set dynamically on a resource: never defaults. The map must not be changed; it is nil if there is none.
func (img *Image) Config(kind ConfigKind, name string) map[string]string {
	m, _ := img.configs.Get(configKey(ConfigResource{kind, name}))
	return m
}

// ConfigNames goes through the names of the resources of a kind on which something is set, in order.
func (img *Image) ConfigNames(kind ConfigKind) iter.Seq[string] {
	return func(yield func(string) bool) {
		it := img.configs.Root().Iterator()
		it.SeekPrefix([]byte{byte(kind)})
		for {
			key, _, ok := it.Next()
			if !ok || !yield(string(key[1:])) {
				return
			}
		}
	}
}

// Features are the finalized features and their levels. The map must not be changed.
func (img *Image) Features() map[string]int16 { return img.features }

// FeaturesEpoch rises whenever a finalized feature changes. -1 stands for none finalized yet.
func (img *Image) FeaturesEpoch() int64 { return img.featuresEpoch - 1 }

func values[T any](t *iradix.Tree[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		it := t.Root().Iterator()
		for {
			_, v, ok := it.Next()
			if !ok || !yield(v) {
				return
			}
		}
	}
}

func brokerKey(id int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

func configKey(r ConfigResource) []byte { return append([]byte{byte(r.Kind)}, r.Name...) }
