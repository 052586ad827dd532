package broker

// DescribeCluster (key 60, versions 0-2): the cluster's id, its brokers on the client's listener, and the controller
// (KIP-700).
//
// Version 1 asks for an endpoint type (KIP-919): 1 is brokers; 2 is controllers, which are not to be found on a listener
// for clients: MISMATCHED_ENDPOINT_TYPE. Anything else is UNSUPPORTED_ENDPOINT_TYPE. Fenced brokers (KIP-1073) are listed
// from version 2 on if the request says so.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// Endpoint types of KIP-919.
const (
	brokerEndpoints     int8 = 1
	controllerEndpoints int8 = 2
)

func handleDescribeCluster(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ControllerID = -1
	resp.Brokers = []kmsg.DescribeClusterResponseBroker{}
	if req.Version >= 1 {
		if err := checkEndpointType(req.EndpointType); err != nil {
			resp.ErrorCode, resp.ErrorMessage = kafkaproto.Code(err), kafkaproto.Message(err)
			r.reply(resp)
			return
		}
	}
	t := topology{s.quorum.Image(), r.conn.listener}
	resp.EndpointType = brokerEndpoints
	resp.ClusterID = s.clusterID()
	resp.ControllerID = s.controllerID(t)
	resp.ClusterAuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, clusterOperations)
	for b := range t.image.Brokers() {
		address, ok := t.address(b)
		if !ok || b.Fenced && !(req.Version >= 2 && req.IncludeFencedBrokers) {
			continue
		}
		out := kmsg.NewDescribeClusterResponseBroker()
		out.NodeID, out.Host, out.Port, out.Rack, out.IsFenced = b.ID, address.Host, address.Port, b.Rack, b.Fenced
		resp.Brokers = append(resp.Brokers, out)
	}
	r.reply(resp)
}

func checkEndpointType(kind int8) error {
	switch kind {
	case brokerEndpoints:
		return nil
	case controllerEndpoints:
		return kafkaproto.ErrMismatchedEndpointType.With("this is a listener of a broker; controllers were asked for")
	}
	return kafkaproto.ErrUnsupportedEndpointType.With("endpoint type %d has no meaning", kind)
}
