package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func describeCluster(version int16) *kmsg.DescribeClusterRequest {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version = version
	return req
}

func TestDescribeClusterListsBrokersAndController(t *testing.T) {
	b := startServer(t, nil)
	b.server.clusterID = func() string { return b.quorum.Image().ClusterID() }
	b.addBroker(2, true, plaintext("two", 9092))
	c := b.dial()
	for version := range int16(3) {
		resp := ask[*kmsg.DescribeClusterResponse](c, describeCluster(version))
		if resp.ErrorCode != 0 || len(resp.ClusterID) != 22 || resp.ControllerID != 1 || len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 {
			t.Errorf("v%d: %+v", version, resp)
		}
	}
	req := describeCluster(2)
	req.IncludeFencedBrokers = true
	resp := ask[*kmsg.DescribeClusterResponse](c, req)
	if len(resp.Brokers) != 2 || resp.Brokers[0].IsFenced || !resp.Brokers[1].IsFenced {
		t.Errorf("%+v", resp.Brokers)
	}
}

func TestDescribeClusterAuthorizedOperationsAreThereWhenAskedFor(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for version := range int16(3) {
		req := describeCluster(version)
		if got := ask[*kmsg.DescribeClusterResponse](c, req).ClusterAuthorizedOperations; got != -2147483648 {
			t.Errorf("v%d: %d", version, got)
		}
		req.IncludeClusterAuthorizedOperations = true
		if got := ask[*kmsg.DescribeClusterResponse](c, req).ClusterAuthorizedOperations; got != 8096 {
			t.Errorf("v%d: %d", version, got)
		}
	}
}

func TestDescribeClusterOfControllersIsForAnotherListener(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for kind, want := range map[int8]*kafkaproto.Error{1: nil, 2: kafkaproto.ErrMismatchedEndpointType, 3: kafkaproto.ErrUnsupportedEndpointType, 0: kafkaproto.ErrUnsupportedEndpointType} {
		req := describeCluster(1)
		req.EndpointType = kind
		mustBeCode(t, "endpoint type", ask[*kmsg.DescribeClusterResponse](c, req).ErrorCode, want)
	}
}
