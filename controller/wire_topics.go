package controller

import (
	"maps"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

func codeCreateTopics(c *coder, v *CreateTopics) {
	sliceOf(c, &v.Topics, func(c *coder, t *CreateTopic) {
		c.str(&t.Name)
		c.int32(&t.NumPartitions)
		c.int16(&t.ReplicationFactor)
		sliceOf(c, &t.Assignments, func(c *coder, a *Assignment) {
			c.int32((*int32)(&a.Partition))
			c.ints(&a.Brokers, nil)
		})
		mapOf(c, &t.Configs, (*coder).optional)
	})
	c.bool(&v.ValidateOnly)
	sliceOf(c, &v.IDs, codeTopicID)
	c.uvarint(&v.Seed)
}

func codeTopicID(c *coder, id *kafkaproto.TopicID) { c.uuid((*[16]byte)(id)) }

func codeCreateTopicsAnswer(c *coder, v *[]CreateTopicAnswer) {
	sliceOf(c, v, func(c *coder, a *CreateTopicAnswer) {
		c.str(&a.Name)
		codeTopicID(c, &a.ID)
		c.int32(&a.NumPartitions)
		c.int16(&a.ReplicationFactor)
		mapOf(c, &a.Configs, (*coder).str)
		codeError(c, &a.Err)
	})
}

func codeDeleteTopics(c *coder, v *DeleteTopics) {
	sliceOf(c, &v.Topics, func(c *coder, t *DeleteTopic) {
		c.str(&t.Name)
		codeTopicID(c, &t.ID)
	})
}

func codeDeleteTopicsAnswer(c *coder, v *[]DeleteTopicAnswer) {
	sliceOf(c, v, func(c *coder, a *DeleteTopicAnswer) {
		c.str(&a.Name)
		codeTopicID(c, &a.ID)
		codeError(c, &a.Err)
	})
}

func codeCreatePartitions(c *coder, v *CreatePartitions) {
	sliceOf(c, &v.Topics, func(c *coder, t *CreatePartitionsTopic) {
		c.str(&t.Name)
		c.int32(&t.Count)
		nilable(c, &t.Assignments, func(c *coder, brokers *[]int32) { c.ints(brokers, nil) })
	})
	c.bool(&v.ValidateOnly)
	c.uvarint(&v.Seed)
}

func codeCreatePartitionsAnswer(c *coder, v *[]CreatePartitionsAnswer) {
	sliceOf(c, v, func(c *coder, a *CreatePartitionsAnswer) {
		c.str(&a.Name)
		codeError(c, &a.Err)
	})
}

func codeResource(c *coder, kind *ConfigKind, name *string) {
	n := int16(*kind)
	c.int16(&n)
	if c.reading {
		*kind = ConfigKind(n)
	}
	c.str(name)
}

func codeChangeConfigs(c *coder, v *ChangeConfigs) {
	sliceOf(c, &v.Resources, func(c *coder, r *ChangeConfig) {
		codeResource(c, &r.Kind, &r.Name)
		mapOf(c, &r.Set, (*coder).optional)
		mapOf(c, &r.Append, (*coder).str)
		mapOf(c, &r.Subtract, (*coder).str)
		c.bool(&r.Full)
	})
	c.bool(&v.ValidateOnly)
}

func codeChangeConfigsAnswer(c *coder, v *[]ChangeConfigsAnswer) {
	sliceOf(c, v, func(c *coder, a *ChangeConfigsAnswer) {
		codeResource(c, &a.Resource.Kind, &a.Resource.Name)
		codeError(c, &a.Err)
	})
}

func codeTopicPartition(c *coder, id *kafkaproto.TopicPartition) {
	codeTopicID(c, &id.Topic)
	c.int32((*int32)(&id.Partition))
}

func codeAlterPartition(c *coder, v *AlterPartition) {
	c.int32(&v.BrokerID)
	c.int64(&v.BrokerEpoch)
	sliceOf(c, &v.Partitions, func(c *coder, r *AlterPartitionRow) {
		codeTopicPartition(c, &r.ID)
		c.int32((*int32)(&r.LeaderEpoch))
		c.int32(&r.PartitionEpoch)
		sliceOf(c, &r.ISR, func(c *coder, m *ISRMember) {
			c.int32(&m.ID)
			c.int64(&m.Epoch)
		})
	})
}

func codeAlterPartitionAnswer(c *coder, v *[]AlterPartitionAnswer) {
	sliceOf(c, v, func(c *coder, a *AlterPartitionAnswer) {
		codeTopicPartition(c, &a.ID)
		there := a.Partition != nil
		c.bool(&there)
		if there && c.reading {
			a.Partition = &Partition{}
		}
		if there {
			codePartition(c, a.Partition)
		}
		codeError(c, &a.Err)
	})
}

func codeElectLeaders(c *coder, v *ElectLeaders) {
	c.bool(&v.Unclean)
	nilable(c, &v.Topics, func(c *coder, t *ElectLeadersTopic) {
		c.str(&t.Name)
		sliceOf(c, &t.Partitions, func(c *coder, p *kafkaproto.PartitionID) { c.int32((*int32)(p)) })
	})
}

func codeElectLeadersAnswer(c *coder, v *[]ElectLeadersAnswer) {
	sliceOf(c, v, func(c *coder, a *ElectLeadersAnswer) {
		c.str(&a.Name)
		sliceOf(c, &a.Partitions, func(c *coder, p *ElectedLeader) {
			c.int32((*int32)(&p.Partition))
			codeError(c, &p.Err)
		})
	})
}

// nilable is a list in which none and an empty one differ.
func nilable[T any](c *coder, v *[]T, each func(*coder, *T)) {
	there := *v != nil
	c.bool(&there)
	switch {
	case there:
		sliceOf(c, v, each)
		if c.reading && *v == nil {
			*v = []T{}
		}
	case c.reading:
		*v = nil
	}
}

// mapOf is a map, in the order of its keys. An empty one is read as nil.
func mapOf[T any](c *coder, v *map[string]T, each func(*coder, *T)) {
	if !c.reading {
		c.length(len(*v))
		for _, key := range slices.Sorted(maps.Keys(*v)) {
			value := (*v)[key]
			c.str(&key)
			each(c, &value)
		}
		return
	}
	*v = nil
	n := c.length(0)
	for i := 0; i < n && c.err == nil; i++ {
		var key string
		var value T
		c.str(&key)
		each(c, &value)
		if *v == nil {
			*v = map[string]T{}
		}
		(*v)[key] = value
	}
}
