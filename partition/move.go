package partition

import "github.com/streambus/streambus/kafkaproto"

func (m *Manager) preferred(kafkaproto.TopicPartition) *Dir { return nil }
