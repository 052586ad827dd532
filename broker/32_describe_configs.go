package broker

// DescribeConfigs (key 32, versions 0-4): what is set on topics, brokers, groups (KIP-848), subscriptions to clients'
// metrics (KIP-714) and loggers (KIP-412), and where each value comes from (KIP-226).
//
// Every property is listed unless the request names some (null and none at all both mean all), those that nobody set too;
// names that do not exist are left out. Synonyms come with version 1 if asked for, types and documentation with 3.
// Sensitive values are null. A broker tells of itself; an empty name stands for what is set on all brokers. Version 0
// knows defaults from others only.
//
// Kafka refuses version 0 since 4.0; it is kept for old clients. The only logger is root.

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDescribeConfigs(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	resp.Resources = []kmsg.DescribeConfigsResponseResource{}
	for i := range req.Resources {
		if !describable(req.Resources[i].ResourceType) {
			r.fail(kafkaproto.ErrInvalidRequest.With("Unexpected resource type %d for resource %s",
				req.Resources[i].ResourceType, req.Resources[i].ResourceName))
			return
		}
	}
	image := s.quorum.Image()
	for i := range req.Resources {
		resp.Resources = append(resp.Resources, s.describeResource(image, req, &req.Resources[i]))
	}
	r.reply(resp)
}

func describable(t kmsg.ConfigResourceType) bool {
	switch t {
	case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
		kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return true
	}
	return false
}

func (s *Server) describeResource(image *controller.Image, req *kmsg.DescribeConfigsRequest, asked *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	out := kmsg.NewDescribeConfigsResponseResource()
	out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
	out.ErrorMessage = kmsg.StringPtr("")
	out.Configs = []kmsg.DescribeConfigsResponseResourceConfig{}
	configs, err := s.configsOf(image, asked)
	if err != nil {
		out.ErrorCode = kafkaproto.Code(err)
		if message := kafkaproto.Message(err); message != nil {
			out.ErrorMessage = message
		}
		return out
	}
	for i := range configs {
		d := &configs[i]
		if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, d.Name) {
			continue
		}
		out.Configs = append(out.Configs, describedConfig(d, req))
	}
	return out
}

// configsOf lists the properties of a resource.
func (s *Server) configsOf(image *controller.Image, asked *kmsg.DescribeConfigsRequestResource) ([]config.Described, error) {
	name := asked.ResourceName
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := controller.ValidateTopicName(name); err != nil {
			return nil, err
		}
		if _, ok := image.Topic(name); !ok {
			return nil, kafkaproto.ErrUnknownTopicOrPartition
		}
		return s.config.DescribeTopic(image.Config(controller.TopicConfig, name)), nil
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			return s.config.DescribeCluster(), nil
		}
		if id, err := brokerNamed(name); err != nil {
			return nil, err
		} else if id != s.nodeID {
			return nil, kafkaproto.ErrInvalidRequest.With("Unexpected broker id, expected %d or empty string, but received %s", s.nodeID, name)
		}
		return s.config.DescribeBroker(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name == "" {
			return nil, kafkaproto.ErrInvalidRequest.With("Broker id must not be empty")
		}
		if id, err := brokerNamed(name); err != nil {
			return nil, err
		} else if id != s.nodeID {
			return nil, kafkaproto.ErrInvalidRequest.With("Unexpected broker id, expected %d but received %s", s.nodeID, name)
		}
		return s.loggers(), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, kafkaproto.ErrInvalidRequest.With("Client metrics subscription name must not be empty")
		}
		return config.DescribeClientMetrics(image.Config(controller.ClientMetricsConfig, name)), nil
	default:
		if name == "" {
			return nil, kafkaproto.ErrInvalidRequest.With("Group name must not be empty")
		}
		return s.config.DescribeGroup(image.Config(controller.GroupConfig, name)), nil
	}
}

func brokerNamed(name string) (int32, error) {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, kafkaproto.ErrInvalidRequest.With("Broker id must be an integer, but it is: %s", name)
	}
	return int32(id), nil
}

// rootLogger is the name of the only logger.
const rootLogger = "root"

// loggers lists the loggers with their levels, as Kafka names them.
func (s *Server) loggers() []config.Described {
	level := config.LevelName(s.config.Level())
	return []config.Described{{Name: rootLogger, Value: &level, Source: config.SourceLogger}}
}

func describedConfig(d *config.Described, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.IsSensitive = d.Name, d.Value, d.ReadOnly, d.Sensitive
	out.Source, out.IsDefault = kmsg.ConfigSource(d.Source), d.Source == config.SourceDefault
	out.ConfigType = configTypes[d.Type]
	out.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{}
	if req.IncludeSynonyms {
		for _, s := range d.Synonyms {
			synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			synonym.Name, synonym.Value, synonym.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			out.ConfigSynonyms = append(out.ConfigSynonyms, synonym)
		}
	}
	if req.IncludeDocumentation && d.Doc != "" {
		out.Documentation = &d.Doc
	}
	return out
}

var configTypes = map[config.Type]kmsg.ConfigType{
	config.Boolean: kmsg.ConfigTypeBoolean, config.String: kmsg.ConfigTypeString, config.Int: kmsg.ConfigTypeInt,
	config.Short: kmsg.ConfigTypeShort, config.Long: kmsg.ConfigTypeLong, config.Double: kmsg.ConfigTypeDouble,
	config.List: kmsg.ConfigTypeList, config.Class: kmsg.ConfigTypeClass, config.Password: kmsg.ConfigTypePassword,
}
