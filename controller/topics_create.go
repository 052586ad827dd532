package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/streambus/streambus/kafkaproto"
)

// maxPartitionsPerRequest bounds what one CreateTopics or CreatePartitions may ask for, as Kafka does.
const maxPartitionsPerRequest = 10_000

// Randomize fills in topic ids and the seed of placement.
func (c CreateTopics) Randomize(read func([]byte)) Command {
	if len(c.IDs) < len(c.Topics) {
		c.IDs = make([]kafkaproto.TopicID, len(c.Topics))
		for i := range c.IDs {
			read(c.IDs[i][:])
			c.IDs[i] = presentable(c.IDs[i])
		}
	}
	if c.Seed == 0 {
		c.Seed = randomSeed(read)
	}
	return c
}

// presentable makes random bytes a version 4 uuid whose text does not start with '-', which tools take for an option.
func presentable(id [16]byte) [16]byte {
	id[0] &= 0x7f
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func (d *decision) createTopics(c CreateTopics) ([]CreateTopicAnswer, error) {
	if totalPartitions(c.Topics, d.defaults) > maxPartitionsPerRequest {
		return nil, kafkaproto.ErrPolicyViolation.With("Excessively large number of partitions per request.")
	}
	if len(c.IDs) < len(c.Topics) {
		return nil, kafkaproto.ErrUnknownServerError.With("no topic ids given")
	}
	batch := newTopics{decision: d, ring: newRing(d.img, c.Seed), named: map[string]int{}, unified: map[string]string{}}
	for _, t := range c.Topics {
		batch.named[t.Name]++
	}
	var answers []CreateTopicAnswer
	for i, t := range c.Topics {
		if batch.named[t.Name] == 0 {
			continue // a duplicate that is answered already
		}
		answers = append(answers, batch.create(t, c.IDs[i]))
	}
	if c.ValidateOnly {
		d.events = nil
	}
	return answers, nil
}

func totalPartitions(topics []CreateTopic, d Defaults) int64 {
	var n int64
	for _, t := range topics {
		switch {
		case len(t.Assignments) > 0:
			n += int64(len(t.Assignments))
		case t.NumPartitions == -1:
			n += int64(d.NumPartitions)
		case t.NumPartitions > 0:
			n += int64(t.NumPartitions)
		}
	}
	return n
}

// newTopics is the state of one CreateTopics request.
type newTopics struct {
	*decision
	ring    *ring
	named   map[string]int    // how often the request names a topic; 0 once it is answered
	unified map[string]string // new names with '.' or '_', by unified form
}

func (b *newTopics) create(t CreateTopic, id kafkaproto.TopicID) CreateTopicAnswer {
	fail := func(err error) CreateTopicAnswer {
		return CreateTopicAnswer{Name: t.Name, NumPartitions: -1, ReplicationFactor: -1, Err: err}
	}
	times := b.named[t.Name]
	b.named[t.Name] = 0
	if times > 1 {
		return fail(kafkaproto.ErrInvalidRequest.With("Duplicate topic name."))
	}
	if err := b.checkName(t.Name); err != nil {
		return fail(err)
	}
	if err := validateNewConfigs(t.Configs); err != nil {
		return fail(err)
	}
	replicas, err := b.assign(t)
	if err != nil {
		return fail(err)
	}
	if _, taken := b.img.TopicByID(id); taken || id == (kafkaproto.TopicID{}) {
		return fail(kafkaproto.ErrUnknownServerError.With("topic id %s can't be used", id))
	}
	return b.emitTopic(t, id, replicas)
}

func (b *newTopics) emitTopic(t CreateTopic, id kafkaproto.TopicID, replicas [][]int32) CreateTopicAnswer {
	if hasCollisionChars(t.Name) {
		b.unified[unifyName(t.Name)] = t.Name
	}
	b.emit(&TopicCreated{ID: id, Name: t.Name})
	for i, r := range replicas {
		b.emit(&PartitionChanged{Topic: id, Partition: newPartition(b.img, kafkaproto.PartitionID(i), r)})
	}
	configs := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		b.emit(&ConfigChanged{Resource: ConfigResource{TopicConfig, t.Name}, Key: key, Value: t.Configs[key]})
		configs[key] = *t.Configs[key]
	}
	return CreateTopicAnswer{
		Name: t.Name, ID: id, NumPartitions: int32(len(replicas)), ReplicationFactor: int16(len(replicas[0])), Configs: configs,
	}
}

// newPartition is a partition that has just been assigned: all that are active are in its ISR, the first of them leads.
func newPartition(img *Image, id kafkaproto.PartitionID, replicas []int32) Partition {
	isr := replicas
	if slices.ContainsFunc(replicas, func(r int32) bool { return !img.Active(r) }) {
		isr = slices.DeleteFunc(slices.Clone(replicas), func(r int32) bool { return !img.Active(r) })
	}
	return Partition{ID: id, Replicas: replicas, ISR: isr, Leader: isr[0]}
}

func (b *newTopics) checkName(name string) error {
	if name == metadataTopic {
		return kafkaproto.ErrInvalidRequest.With("Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if err := ValidateTopicName(name); err != nil {
		return err
	}
	if _, ok := b.img.Topic(name); ok {
		return kafkaproto.ErrTopicAlreadyExists.With("Topic '%s' already exists.", name)
	}
	if !hasCollisionChars(name) {
		return nil
	}
	other, ok := b.img.unifiedNames.Get([]byte(unifyName(name)))
	if !ok {
		other, ok = b.unified[unifyName(name)]
	}
	if ok {
		return kafkaproto.ErrInvalidTopicException.With("Topic '%s' collides with existing topic: %s", name, other)
	}
	return nil
}

// assign finds the replicas of a new topic's partitions, from the request or by placement.
func (b *newTopics) assign(t CreateTopic) ([][]int32, error) {
	switch {
	case len(t.Assignments) > 0:
		return b.assigned(t)
	case t.ReplicationFactor < -1 || t.ReplicationFactor == 0:
		return nil, kafkaproto.ErrInvalidReplicationFactor.With("Replication factor must be larger than 0, or -1 to use the default value.")
	case t.NumPartitions < -1 || t.NumPartitions == 0:
		return nil, kafkaproto.ErrInvalidPartitions.With("Number of partitions was set to an invalid non-positive value.")
	}
	partitions, factor := t.NumPartitions, t.ReplicationFactor
	if partitions == -1 {
		partitions = max(1, b.defaults.NumPartitions)
	}
	if factor == -1 {
		factor = max(1, b.defaults.ReplicationFactor)
	}
	return b.ring.place(int(partitions), int(factor))
}

func (b *newTopics) assigned(t CreateTopic) ([][]int32, error) {
	if t.ReplicationFactor != -1 {
		return nil, kafkaproto.ErrInvalidRequest.With("A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.NumPartitions != -1 {
		return nil, kafkaproto.ErrInvalidRequest.With("A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	bad := kafkaproto.ErrInvalidReplicaAssignment
	replicas := make([][]int32, len(t.Assignments))
	factor := len(t.Assignments[0].Brokers)
	for _, a := range t.Assignments {
		if a.Partition < 0 || int(a.Partition) >= len(replicas) {
			return nil, bad.With("partitions should be a consecutive 0-based integer sequence")
		}
		if replicas[a.Partition] != nil {
			return nil, bad.With("Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if err := checkAssignment(b.img, int(a.Partition), a.Brokers, factor); err != nil {
			return nil, err
		}
		replicas[a.Partition] = slices.Clone(a.Brokers)
	}
	return replicas, nil
}

// checkAssignment checks the brokers that a request names for one partition.
func checkAssignment(img *Image, partition int, brokers []int32, factor int) error {
	bad := kafkaproto.ErrInvalidReplicaAssignment
	if len(brokers) == 0 {
		return bad.With("The manual partition assignment includes an empty replica list.")
	}
	if len(brokers) != factor {
		return bad.With("The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(brokers), factor)
	}
	for i, id := range brokers {
		if _, ok := img.Broker(id); !ok {
			return bad.With("The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if slices.Contains(brokers[:i], id) {
			return bad.With("The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if !slices.ContainsFunc(brokers, img.Active) {
		return bad.With("All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", partition)
	}
	return nil
}

func validateNewConfigs(configs map[string]*string) error {
	var null []string
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		if configs[key] == nil {
			null = append(null, key)
			continue
		}
		if len(*configs[key]) > maxConfigValue {
			return kafkaproto.ErrInvalidConfig.With("The value of %s is longer than %d bytes.", key, maxConfigValue)
		}
		if err := validateTopicConfig(key, *configs[key]); err != nil {
			return err
		}
	}
	if len(null) > 0 {
		return kafkaproto.ErrInvalidConfig.With("Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	return nil
}
