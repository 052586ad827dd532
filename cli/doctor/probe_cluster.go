package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of what is remembered of a cluster of any size.
const (
	mostBrokers = 1000
	mostNamed   = 5  // partitions named in one finding
	mostLed     = 20 // partitions asked of one broker
)

// view asks for Metadata and, where it is served, DescribeCluster.
func (c *conn) view(a *Answer) error {
	req, resp := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrMetadataResponse()
	version, ok := a.Versions.best(keyMetadata, req.MaxVersion())
	if !ok {
		return fmt.Errorf("no version of Metadata is known to both sides")
	}
	req.Version, req.AllowAutoTopicCreation = version, false
	if err := c.ask(req, resp); err != nil {
		return err
	}
	if resp.ErrorCode != 0 {
		return fmt.Errorf("answered with %w", kerr.ErrorForCode(resp.ErrorCode))
	}
	v := &View{Version: version, Controller: -1, Led: map[int32][]Partition{}}
	if version >= 1 {
		v.Controller = resp.ControllerID
	}
	if resp.ClusterID != nil {
		v.ClusterID = *resp.ClusterID
	}
	for _, b := range resp.Brokers[:min(len(resp.Brokers), mostBrokers)] {
		v.Brokers = append(v.Brokers, Member{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: deref(b.Rack)})
	}
	v.LeftOut = len(resp.Brokers) - len(v.Brokers)
	v.addPartitions(resp)
	c.addFenced(a, v)
	slices.Sort(v.Behind)
	slices.SortFunc(v.Brokers, func(x, y Member) int { return int(x.ID) - int(y.ID) })
	a.View = v
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (v *View) addPartitions(resp *kmsg.MetadataResponse) {
	known := map[int32]bool{}
	for _, b := range resp.Brokers {
		known[b.NodeID] = true
	}
	for _, t := range resp.Topics {
		v.Offsets = v.Offsets || deref(t.Topic) == offsetsTopic
		for _, p := range t.Partitions {
			v.Partitions++
			topic := deref(t.Topic)
			name := topic + "-" + strconv.Itoa(int(p.Partition))
			v.addLagging(name, p.Replicas, p.ISR)
			switch {
			case p.Leader < 0:
				v.Leaderless, v.NoLeader = remember(v.Leaderless, name), v.NoLeader+1
			case !known[p.Leader]:
				v.Lost, v.NumLost = remember(v.Lost, name), v.NumLost+1
			case len(v.Led[p.Leader]) < mostLed && p.ErrorCode == 0:
				v.Led[p.Leader] = append(v.Led[p.Leader], Partition{topic, p.Partition})
			}
		}
	}
}

func (v *View) addLagging(name string, replicas, inSync []int32) {
	if len(inSync) >= len(replicas) {
		return
	}
	v.Lagging, v.NumLagging = remember(v.Lagging, name), v.NumLagging+1
	for _, id := range replicas {
		if !slices.Contains(inSync, id) && !slices.Contains(v.Behind, id) && len(v.Behind) < mostBrokers {
			v.Behind = append(v.Behind, id)
		}
	}
}

func remember(list []string, name string) []string {
	if len(list) < mostNamed {
		list = append(list, name)
	}
	return list
}

// addFenced asks DescribeCluster for brokers that Metadata leaves out (KIP-1073). Without an answer there are none.
func (c *conn) addFenced(a *Answer, v *View) {
	req, resp := kmsg.NewPtrDescribeClusterRequest(), kmsg.NewPtrDescribeClusterResponse()
	version, ok := a.Versions.best(keyDescribeCluster, req.MaxVersion())
	if !ok {
		return
	}
	req.Version, req.EndpointType, req.IncludeFencedBrokers = version, 1, version >= 2
	if err := c.ask(req, resp); err != nil || resp.ErrorCode != 0 {
		return
	}
	if v.ClusterID == "" {
		v.ClusterID = resp.ClusterID
	}
	for _, b := range resp.Brokers {
		known := slices.ContainsFunc(v.Brokers, func(m Member) bool { return m.ID == b.NodeID })
		if !known && len(v.Brokers) < mostBrokers {
			v.Brokers = append(v.Brokers, Member{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: deref(b.Rack), Fenced: b.IsFenced})
		}
	}
}

// identify asks whether this is the broker that should be here, in the surest way there is: by name (KIP-1242), by its
// configuration, which only itself gives, or by partitions, for which only the leader answers. The last also shows
// how new the newest records are.
func (c *conn) identify(a *Answer, who *expected) {
	c.newest(a, who)
	if _, ok := a.Versions.best(keyVersions, 5); ok && a.Versions.Ranges[keyVersions].Max >= 5 && who.cluster != "" {
		resp, err := c.apiVersions(5, who)
		if err == nil && (resp.ErrorCode == 0 || resp.ErrorCode == codeRebootstrap) {
			a.Identity.Checked, a.Identity.Match = true, resp.ErrorCode == 0
			return
		}
	}
	c.askConfig(a, who)
}

func (c *conn) askConfig(a *Answer, who *expected) {
	req, resp := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrDescribeConfigsResponse()
	version, ok := a.Versions.best(keyDescribeConfigs, req.MaxVersion())
	if !ok {
		return
	}
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(who.node)), []string{"node.id"}
	req.Version, req.Resources = version, append(req.Resources, r)
	if err := c.ask(req, resp); err != nil || len(resp.Resources) != 1 {
		return
	}
	if code := resp.Resources[0].ErrorCode; code == 0 || code == codeInvalidRequest {
		a.Identity.Checked, a.Identity.Match = true, code == 0
	}
}

const maxTimestamp = -3 // KIP-734, from ListOffsets version 7

func (c *conn) newest(a *Answer, who *expected) {
	req, resp := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrListOffsetsResponse()
	version, ok := a.Versions.best(keyListOffsets, req.MaxVersion())
	if !ok || len(who.led) == 0 || version < 7 {
		return
	}
	req.Version, req.ReplicaID, req.TimeoutMillis = version, -1, int32(c.timeout.Milliseconds())
	for _, p := range who.led {
		t := kmsg.NewListOffsetsRequestTopic()
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.Num, maxTimestamp
		t.Topic, t.Partitions = p.Topic, append(t.Partitions, part)
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.Topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
			continue
		}
		req.Topics = append(req.Topics, t)
	}
	if err := c.ask(req, resp); err != nil {
		return
	}
	led, refused := a.Identity.hear(resp)
	if led+refused > 0 {
		// A leader may just have moved: only if it leads none of them is it another broker.
		a.Identity.Checked, a.Identity.Match = true, led > 0
	}
}

// hear notes the newest timestamp and counts the partitions that the broker leads and those it says it does not.
func (i *Identity) hear(resp *kmsg.ListOffsetsResponse) (led, refused int) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			switch p.ErrorCode {
			case 0:
				led++
				if at := time.UnixMilli(p.Timestamp); p.Timestamp > 0 && at.After(i.Newest) {
					i.Newest = at
				}
			case codeNotLeader:
				refused++
			}
		}
	}
	return led, refused
}
