package doctor

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func withOffsets(t *testing.T) *kfake.Cluster {
	return cluster(t, kfake.SeedTopics(2, offsetsTopic))
}

func TestTheCoordinatorOfAGroupIsAskedForOnlyWhereAskingMakesNothing(t *testing.T) {
	c := cluster(t)
	asked := false
	c.ControlKey(keyFindCoordinator, func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked = true
		return nil, nil, false
	})
	r := examine(t, world{}.options(c.ListenAddrs()[0]))
	if asked || strings.Contains(table(r), "coordinated") {
		t.Errorf("asked: %v\n%s", asked, table(r))
	}
	finds(t, examine(t, world{}.options(withOffsets(t).ListenAddrs()[0])), OK, "consumer group would be coordinated by broker 0")
}

func TestACoordinatorThatClientsCantReachIsAProblem(t *testing.T) {
	for words, change := range map[string]func(*kmsg.FindCoordinatorResponseCoordinator){
		"not among the brokers":           func(r *kmsg.FindCoordinatorResponseCoordinator) { r.NodeID = 7 },
		"is sent to broker 0 at other:19": func(r *kmsg.FindCoordinatorResponseCoordinator) { r.Host, r.Port = "other", 19 },
	} {
		c := withOffsets(t)
		c.ControlKey(keyFindCoordinator, func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
			one := kmsg.NewFindCoordinatorResponseCoordinator()
			one.Host, one.Port = "127.0.0.1", portOf(c.ListenAddrs()[0])
			change(&one)
			resp.Coordinators = append(resp.Coordinators, one)
			return resp, nil, true
		})
		finds(t, examine(t, world{}.options(c.ListenAddrs()[0])), Problem, words)
	}
}

func TestRefusalsOfServicesAreWarnings(t *testing.T) {
	c := withOffsets(t)
	c.ControlKey(keyFindCoordinator, func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		one := kmsg.NewFindCoordinatorResponseCoordinator()
		one.ErrorCode = 15
		resp.Coordinators = append(resp.Coordinators, one)
		return resp, nil, true
	})
	c.ControlKey(keyDescribeConfigs, func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ErrorCode = 31
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
	r := examine(t, world{}.options(c.ListenAddrs()[0]))
	finds(t, r, Warning, "COORDINATOR_NOT_AVAILABLE")
	finds(t, r, Warning, "DescribeConfigs answers CLUSTER_AUTHORIZATION_FAILED")
}
