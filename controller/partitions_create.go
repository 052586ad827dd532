package controller

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// Randomize fills in the seed of placement.
func (c CreatePartitions) Randomize(read func([]byte)) Command {
	if c.Seed == 0 {
		c.Seed = randomSeed(read)
	}
	return c
}

func (d *decision) createPartitions(c CreatePartitions) ([]CreatePartitionsAnswer, error) {
	named := map[string]int{}
	for _, t := range c.Topics {
		named[t.Name]++
	}
	left := maxPartitionsPerRequest
	circle := newRing(d.img, c.Seed)
	var answers []CreatePartitionsAnswer
	for _, t := range c.Topics {
		times := named[t.Name]
		if times == 0 {
			continue // a duplicate that is answered already
		}
		named[t.Name] = 0
		err := kafkaproto.ErrInvalidRequest.With("Duplicate topic name.")
		if times == 1 {
			err = d.grow(t, circle, &left)
		}
		answers = append(answers, CreatePartitionsAnswer{Name: t.Name, Err: err})
	}
	if c.ValidateOnly {
		d.events = nil
	}
	return answers, nil
}

// grow adds partitions to one topic, but not to those of coordinators, whose keys would then belong to other partitions than
// those which know them (Kafka lets that happen); left is how many the request may still add.
func (d *decision) grow(c CreatePartitionsTopic, circle *ring, left *int) error {
	t, ok := d.img.Topic(c.Name)
	if !ok {
		return kafkaproto.ErrUnknownTopicOrPartition
	}
	have := len(t.Partitions)
	more := int(c.Count) - have
	switch {
	case more == 0:
		return kafkaproto.ErrInvalidPartitions.With("Topic already has %d partition(s).", have)
	case more < 0:
		return kafkaproto.ErrInvalidPartitions.With("The topic %s currently has %d partition(s); %d would not be an increase.", c.Name, have, c.Count)
	case InternalTopic(c.Name):
		return kafkaproto.ErrInvalidPartitions.With("The number of partitions of %s says which of them holds a group or a transaction; it can't be changed.", c.Name)
	case more > *left:
		return kafkaproto.ErrPolicyViolation.With("Excessively large number of partitions per request.")
	}
	replicas, err := d.assignMore(c, t, more, circle)
	if err != nil {
		return err
	}
	*left -= more
	for i, r := range replicas {
		d.emit(&PartitionChanged{Topic: t.ID, Partition: newPartition(d.img, kafkaproto.PartitionID(have+i), r)})
	}
	return nil
}

func (d *decision) assignMore(c CreatePartitionsTopic, t *Topic, more int, circle *ring) ([][]int32, error) {
	factor := len(t.Partitions[0].Replicas)
	if c.Assignments == nil {
		return circle.place(more, factor)
	}
	if len(c.Assignments) != more {
		return nil, kafkaproto.ErrInvalidReplicaAssignment.With("Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(c.Assignments))
	}
	replicas := make([][]int32, more)
	for i, brokers := range c.Assignments {
		if err := checkAssignment(d.img, len(t.Partitions)+i, brokers, factor); err != nil {
			return nil, err
		}
		replicas[i] = slices.Clone(brokers)
	}
	return replicas, nil
}
