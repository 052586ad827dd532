package controller

import (
	"fmt"
	"maps"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
)

// ApplyBatch is what every node does with a committed raft entry: index and term are the entry's own. A batch that was
// decided in another term, or on another image than this one, is ignored with ErrStale, everywhere alike, because raft may
// commit an entry long after its proposer lost the leadership. The other errors are reasons to stop.
func (img *Image) ApplyBatch(index, term uint64, data []byte) (*Image, Changes, error) {
	b, err := DecodeBatch(data)
	if err != nil {
		return nil, Changes{}, err
	}
	if !planted.Is(planted.StaleBatch) && (b.Epoch != term || b.Base != img.lastIndex) {
		return nil, Changes{}, fmt.Errorf("%w: of epoch %d on %d, in epoch %d on %d", ErrStale, b.Epoch, b.Base, term, img.lastIndex)
	}
	next, changes, err := img.Replay(b.Events)
	if err != nil {
		return nil, Changes{}, err
	}
	next.lastIndex = index
	return next, changes, nil
}

// Replay is the only way that metadata changes. Its cost is that of what the events change. Errors are ErrMisfit.
func (img *Image) Replay(events []Event) (*Image, Changes, error) {
	b := newBuilder(img)
	for _, e := range events {
		if err := b.apply(e); err != nil {
			return nil, Changes{}, err
		}
	}
	return b.finish()
}

// builder makes the next image. Maps are opened for writing when first needed, and a topic is copied once, however many of
// its partitions change.
type builder struct {
	img          Image
	topicsByName *iradix.Txn[*Topic]
	topicsByID   *iradix.Txn[*Topic]
	unifiedNames *iradix.Txn[string]
	brokers      *iradix.Txn[*Broker]
	configs      *iradix.Txn[map[string]string]
	ownTopics    map[kafkaproto.TopicID]*Topic
	ownConfigs   map[ConfigResource]map[string]string
	ownFeatures  bool
	changes      Changes
	brokerSeen   map[int32]bool
}

func newBuilder(img *Image) *builder {
	return &builder{
		img:          *img,
		topicsByName: img.topicsByName.Txn(),
		topicsByID:   img.topicsByID.Txn(),
		unifiedNames: img.unifiedNames.Txn(),
		brokers:      img.brokers.Txn(),
		configs:      img.configs.Txn(),
		ownTopics:    map[kafkaproto.TopicID]*Topic{},
		ownConfigs:   map[ConfigResource]map[string]string{},
		brokerSeen:   map[int32]bool{},
	}
}

func (b *builder) finish() (*Image, Changes, error) {
	for id, t := range b.ownTopics {
		if t != nil && len(t.Partitions) == 0 {
			return nil, Changes{}, fmt.Errorf("%w: topic %s has no partition", ErrMisfit, id)
		}
	}
	for r, m := range b.ownConfigs {
		if len(m) == 0 {
			b.configs.Delete(configKey(r))
		}
	}
	b.img.topicsByName = b.topicsByName.Commit()
	b.img.topicsByID = b.topicsByID.Commit()
	b.img.unifiedNames = b.unifiedNames.Commit()
	b.img.brokers = b.brokers.Commit()
	b.img.configs = b.configs.Commit()
	img := b.img
	return &img, b.changes, nil
}

func (b *builder) apply(e Event) error {
	switch e := e.(type) {
	case *ClusterCreated:
		if b.img.clusterID != "" {
			return fmt.Errorf("%w: the cluster has an id", ErrMisfit)
		}
		b.img.clusterID = e.ClusterID
	case *FeatureChanged:
		b.feature(e)
	case *TopicCreated:
		return b.createTopic(e)
	case *PartitionChanged:
		return b.changePartition(e)
	case *TopicDeleted:
		return b.deleteTopic(e)
	case *BrokerRegistered:
		broker := e.Broker
		b.brokers.Insert(brokerKey(broker.ID), &broker)
		b.img.lastBrokerEpoch = max(b.img.lastBrokerEpoch, broker.Epoch)
		b.brokerChanged(broker.ID)
	case *BrokerChanged:
		return b.changeBroker(e)
	case *BrokerUnregistered:
		b.brokers.Delete(brokerKey(e.ID))
		b.img.lastBrokerEpoch = max(b.img.lastBrokerEpoch, e.Epoch)
		b.brokerChanged(e.ID)
	case *ConfigChanged:
		b.config(e)
	case *ProducerIDsAllocated:
		b.img.nextProducerID = e.Next
	default:
		return fmt.Errorf("%w: %T", ErrMisfit, e)
	}
	return nil
}

func (b *builder) feature(e *FeatureChanged) {
	if !b.ownFeatures {
		b.img.features, b.ownFeatures = maps.Clone(b.img.features), true
		if b.img.features == nil {
			b.img.features = map[string]int16{}
		}
	}
	if e.Level == 0 {
		delete(b.img.features, e.Name)
	} else {
		b.img.features[e.Name] = e.Level
	}
	b.img.featuresEpoch = e.Epoch
	b.changes.Features = true
}

func (b *builder) createTopic(e *TopicCreated) error {
	if _, ok := b.topicsByID.Get(e.ID[:]); ok {
		return fmt.Errorf("%w: topic %s exists", ErrMisfit, e.ID)
	}
	if _, ok := b.topicsByName.Get([]byte(e.Name)); ok {
		return fmt.Errorf("%w: topic %q exists", ErrMisfit, e.Name)
	}
	t := &Topic{Name: e.Name, ID: e.ID, Internal: InternalTopic(e.Name)}
	b.insertTopic(t)
	if hasCollisionChars(t.Name) {
		b.unifiedNames.Insert([]byte(unifyName(t.Name)), t.Name)
	}
	return nil
}

func (b *builder) insertTopic(t *Topic) {
	if _, ok := b.ownTopics[t.ID]; !ok {
		b.changes.Topics = append(b.changes.Topics, t.ID)
	}
	b.ownTopics[t.ID] = t
	b.topicsByName.Insert([]byte(t.Name), t)
	b.topicsByID.Insert(t.ID[:], t)
}

func (b *builder) changePartition(e *PartitionChanged) error {
	t, err := b.ownTopic(e.Topic)
	if err != nil {
		return err
	}
	p := &e.Partition // events don't change once they are made, so the image may point into them
	switch n := int(p.ID); {
	case n >= 0 && n < len(t.Partitions):
		t.Partitions[n] = p
	case n == len(t.Partitions):
		t.Partitions = append(t.Partitions, p)
		b.img.partitions++
	default:
		return fmt.Errorf("%w: partition %d of %s, which has %d", ErrMisfit, n, t.Name, len(t.Partitions))
	}
	return nil
}

// ownTopic is the topic as this batch may change it.
func (b *builder) ownTopic(id kafkaproto.TopicID) (*Topic, error) {
	if t := b.ownTopics[id]; t != nil {
		return t, nil
	}
	old, ok := b.topicsByID.Get(id[:])
	if !ok {
		return nil, fmt.Errorf("%w: no topic %s", ErrMisfit, id)
	}
	t := *old
	t.Partitions = slices.Clone(old.Partitions)
	b.insertTopic(&t)
	return &t, nil
}

func (b *builder) deleteTopic(e *TopicDeleted) error {
	t, ok := b.topicsByID.Get(e.ID[:])
	if !ok {
		return fmt.Errorf("%w: no topic %s", ErrMisfit, e.ID)
	}
	if _, ok := b.ownTopics[e.ID]; !ok {
		b.changes.Topics = append(b.changes.Topics, e.ID)
	}
	b.ownTopics[e.ID] = nil
	b.topicsByID.Delete(e.ID[:])
	b.topicsByName.Delete([]byte(t.Name))
	if hasCollisionChars(t.Name) {
		b.unifiedNames.Delete([]byte(unifyName(t.Name)))
	}
	b.img.partitions -= len(t.Partitions)
	r := ConfigResource{TopicConfig, t.Name}
	delete(b.ownConfigs, r)
	if _, had := b.configs.Delete(configKey(r)); had {
		b.changes.Configs = append(b.changes.Configs, r)
	}
	return nil
}

func (b *builder) changeBroker(e *BrokerChanged) error {
	old, ok := b.brokers.Get(brokerKey(e.ID))
	if !ok || old.Epoch != e.Epoch {
		return fmt.Errorf("%w: no broker %d of epoch %d", ErrMisfit, e.ID, e.Epoch)
	}
	broker := *old
	broker.Fenced, broker.ShuttingDown = e.Fenced, e.ShuttingDown
	b.brokers.Insert(brokerKey(e.ID), &broker)
	b.brokerChanged(e.ID)
	return nil
}

func (b *builder) brokerChanged(id int32) {
	if !b.brokerSeen[id] {
		b.brokerSeen[id] = true
		b.changes.Brokers = append(b.changes.Brokers, id)
	}
}

func (b *builder) config(e *ConfigChanged) {
	r := e.Resource
	own, ok := b.ownConfigs[r]
	if !ok {
		old, _ := b.configs.Get(configKey(r))
		own = maps.Clone(old)
		if own == nil {
			own = map[string]string{}
		}
		b.ownConfigs[r] = own
		b.configs.Insert(configKey(r), own)
		b.changes.Configs = append(b.changes.Configs, r)
	}
	if e.Value == nil {
		delete(own, e.Key)
	} else {
		own[e.Key] = *e.Value
	}
}
