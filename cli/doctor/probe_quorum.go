package doctor

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeQuorum asks for the metadata quorum, which the broker asks its leader for.
func (c *conn) describeQuorum(a *Answer) {
	req, resp := kmsg.NewPtrDescribeQuorumRequest(), kmsg.NewPtrDescribeQuorumResponse()
	version, ok := a.Versions.best(keyDescribeQuorum, req.MaxVersion())
	if !ok {
		return
	}
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Version, req.Topics = version, append(req.Topics, t)
	if err := c.ask(req, resp); err != nil {
		return
	}
	q := &Quorum{Code: resp.ErrorCode, Leader: -1}
	if len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1 {
		q.hear(&resp.Topics[0].Partitions[0], version)
	}
	a.Services.Quorum = q
}

func (q *Quorum) hear(p *kmsg.DescribeQuorumResponseTopicPartition, version int16) {
	if q.Code == 0 {
		q.Code = p.ErrorCode
	}
	q.Leader, q.Timed = p.LeaderID, version >= 1
	for _, v := range p.CurrentVoters {
		voter := Voter{ID: v.ReplicaID}
		if v.LastFetchTimestamp >= 0 {
			voter.Heard = time.UnixMilli(v.LastFetchTimestamp)
		}
		q.Voters = append(q.Voters, voter)
	}
}
