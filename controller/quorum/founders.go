package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// probeInterval is how often a founder asks those that have not answered.
const probeInterval = 100 * time.Millisecond

// founders are the members that an empty directory starts with: this node alone if no other voter is named. Else all named
// voters are asked who they are until every one has answered; as each asks all others, all end with the same list and may
// write it independently. Where one of them has a cluster already, there is nothing to write: this node is in it, or
// asks to be (join.go), and the leader will send it. Errors: an address is that of another node.
func (q *Quorum) founders() ([]raft.Server, error) {
	self := raft.Server{Suffrage: raft.Voter, ID: q.id, Address: raft.ServerAddress(q.options.Advertise)}
	var servers []raft.Server
	for _, v := range q.options.Voters {
		if v.NodeID == q.options.NodeID {
			continue
		}
		answer, err := q.probe(v)
		if err != nil {
			return nil, err
		}
		if answer.ClusterID != "" {
			return nil, nil
		}
		servers = append(servers, raft.Server{
			Suffrage: raft.Voter, ID: raft.ServerID(answer.serverID()), Address: raft.ServerAddress(v.Address),
		})
	}
	servers = append(servers, self)
	slices.SortFunc(servers, func(a, b raft.Server) int { return cmp.Compare(a.ID, b.ID) })
	return servers, nil
}

// probe asks a voter who it is, for as long as it takes.
func (q *Quorum) probe(v Voter) (hello, error) {
	for try := 0; ; try++ {
		c, answer, err := q.stream.call(v.Address, "", purposeProbe, helloTimeout)
		if err == nil {
			err = c.Close()
		}
		if err == nil && answer.NodeID != v.NodeID {
			return hello{}, fmt.Errorf("%s is node %d, not %d", v.Address, answer.NodeID, v.NodeID)
		}
		if err == nil {
			return answer, nil
		}
		if try%50 == 0 {
			q.options.Logger.Info("waiting for a voter that is named in the configuration", "node", v.NodeID, "address", v.Address, "error", err)
		}
		if !q.stream.pause(probeInterval) {
			return hello{}, errClosed
		}
	}
}
