package broker

// CreateTopics (key 19, versions 0-7): the active controller decides; the answer comes when this node has the topics.
//
// validate_only from 1. -1 partitions or replicas mean the broker's defaults (KIP-464); Kafka's clients say so from
// version 4 on, and it is taken in every version. The answer has numbers and effective configs (KIP-525) from 5 and
// topic ids (KIP-516) from 7. An answer for a name that is there twice is given once. Configs are checked one by one by
// the controller, and against each other here, for both need the broker's defaults.
//
// Not done: policies and quotas of topic creation, so the throttle time is always 0.

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleCreateTopics(s *Server, r *request) {
	req := r.req.(*kmsg.CreateTopicsRequest)
	command := controller.CreateTopics{ValidateOnly: req.Version >= 1 && req.ValidateOnly}
	image := s.quorum.Image()
	refused := map[string]error{}
	for i := range req.Topics {
		t := newTopic(&req.Topics[i])
		if _, exists := image.Topic(t.Name); !exists {
			if err := s.checkTogether(t.Configs); err != nil {
				refused[t.Name] = err
				continue
			}
		}
		command.Topics = append(command.Topics, t)
	}
	var answers []controller.CreateTopicAnswer
	if len(command.Topics) > 0 {
		var err error
		if answers, err = submit[[]controller.CreateTopicAnswer](s, command, req.TimeoutMillis); err != nil {
			r.fail(err)
			return
		}
	}
	r.reply(s.createTopicsResponse(req, answers, refused))
}

func newTopic(t *kmsg.CreateTopicsRequestTopic) controller.CreateTopic {
	out := controller.CreateTopic{
		Name: t.Topic, NumPartitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor,
		Configs: make(map[string]*string, len(t.Configs)),
	}
	for _, a := range t.ReplicaAssignment {
		out.Assignments = append(out.Assignments, controller.Assignment{
			Partition: kafkaproto.PartitionID(a.Partition), Brokers: slices.Clone(a.Replicas),
		})
	}
	for _, c := range t.Configs {
		out.Configs[c.Name] = c.Value
	}
	return out
}

// checkTogether checks the rules between a topic's configs. What is wrong with one alone is the controller's to say.
func (s *Server) checkTogether(configs map[string]*string) error {
	set := make(map[string]string, len(configs))
	for name, value := range configs {
		if value == nil || config.ValidateTopic(name, *value) != nil {
			return nil
		}
		set[name] = *value
	}
	if _, err := s.config.Topic(set); err != nil {
		return kafkaproto.ErrInvalidConfig.With("%w", err)
	}
	return nil
}

// createTopicsResponse puts answers and refusals into the order of the request, one for each name.
func (s *Server) createTopicsResponse(req *kmsg.CreateTopicsRequest, answers []controller.CreateTopicAnswer, refused map[string]error) *kmsg.CreateTopicsResponse {
	byName := make(map[string]*controller.CreateTopicAnswer, len(answers))
	for i := range answers {
		byName[answers[i].Name] = &answers[i]
	}
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = []kmsg.CreateTopicsResponseTopic{}
	answered := map[string]bool{}
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if answered[name] {
			continue
		}
		answered[name] = true
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = name, -1, -1
		out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		err := refused[name]
		if a := byName[name]; a != nil {
			err = a.Err
			if err == nil {
				out.TopicID, out.NumPartitions, out.ReplicationFactor = a.ID, a.NumPartitions, a.ReplicationFactor
				out.Configs = s.topicConfigs(a.Configs)
			}
		}
		out.ErrorCode, out.ErrorMessage = kafkaproto.Code(err), kafkaproto.Message(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// topicConfigs lists all configs that a topic has with these set.
func (s *Server) topicConfigs(set map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	entries := s.config.TopicEntries(set)
	configs := make([]kmsg.CreateTopicsResponseTopicConfig, len(entries))
	for i, e := range entries {
		c := &configs[i]
		c.Default()
		c.Name, c.Value, c.IsSensitive = e.Key.Name, kmsg.StringPtr(e.Value), e.Key.Sensitive
		switch e.Source {
		case config.FromTopic:
			c.Source = int8(config.SourceTopic)
		case config.FromRunningBroker:
			c.Source = int8(config.SourceBroker)
		case config.FromCluster:
			c.Source = int8(config.SourceCluster)
		case config.FromBroker:
			c.Source = int8(config.SourceStatic)
		default:
			c.Source = int8(config.SourceDefault)
		}
		if c.IsSensitive {
			c.Value = nil
		}
	}
	return configs
}
