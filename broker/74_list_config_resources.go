package broker

// ListConfigResources (key 74, versions 0-1): the names of what configs can be described of (KIP-1142): groups and
// subscriptions to clients' metrics that have something set, brokers with their loggers, topics. No types mean all of
// them. Version 0 (ListClientMetricsResources, KIP-714) knows subscriptions only. A type that does not exist makes the
// request UNSUPPORTED_VERSION.

import (
	"iter"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// listedTypes are the types of resources that can be listed, in the order in which Kafka lists them.
var listedTypes = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic,
}

func handleListConfigResources(s *Server, r *request) {
	req := r.req.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	resp.ConfigResources = []kmsg.ListConfigResourcesResponseConfigResource{}
	wanted := req.ResourceTypes
	if req.Version == 0 {
		wanted = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	}
	for _, t := range wanted {
		if !slices.Contains(listedTypes, kmsg.ConfigResourceType(t)) {
			resp.ErrorCode = kafkaproto.ErrUnsupportedVersion.Num
			r.reply(resp)
			return
		}
	}
	t := topology{s.quorum.Image(), r.conn.listener}
	for _, kind := range listedTypes {
		if len(wanted) > 0 && !slices.Contains(wanted, int8(kind)) {
			continue
		}
		for name := range t.configResources(kind) {
			out := kmsg.NewListConfigResourcesResponseConfigResource()
			out.Name, out.Type = name, int8(kind)
			resp.ConfigResources = append(resp.ConfigResources, out)
		}
	}
	r.reply(resp)
}

// configResources goes through the names of the resources of a type.
func (t topology) configResources(kind kmsg.ConfigResourceType) iter.Seq[string] {
	switch kind {
	case kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics:
		return t.image.ConfigNames(controller.ConfigKind(kind))
	case kmsg.ConfigResourceTypeTopic:
		return func(yield func(string) bool) {
			for topic := range t.image.Topics() {
				if !yield(topic.Name) {
					return
				}
			}
		}
	}
	return func(yield func(string) bool) {
		for b := range t.image.Brokers() {
			if t.alive(b.ID) && !yield(strconv.Itoa(int(b.ID))) {
				return
			}
		}
	}
}
