package quorum

import (
	"cmp"
	"errors"
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
// asks to be (join.go), and the leader will send it. Errors: an address is that of another node, or of another cluster.
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

// probe asks a voter who it is, for as long as it takes, unless who answers there is another.
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
		if errors.Is(err, errRefused) {
			return hello{}, fmt.Errorf("node %d is named as a voter at %s: %w", v.NodeID, v.Address, err)
		}
		if try%50 == 0 {
			q.options.Logger.Info("waiting for a voter that is named in the configuration", "node", v.NodeID, "address", v.Address, "error", err)
		}
		if !q.stream.pause(probeInterval) {
			return hello{}, errClosed
		}
	}
}

// checkOthers refuses to start where an address that this node was given is one of another cluster than its directory: it would
// go on in its own, and whoever started it believes that it is in the other. Who does not answer at once can't be checked.
func (q *Quorum) checkOthers() error {
	addresses := q.others()
	found := make(chan error, len(addresses))
	for _, address := range addresses {
		go func() {
			c, answer, err := q.stream.call(address, "", purposeProbe, lookTimeout)
			if err == nil {
				_ = c.Close()
			}
			mine := q.hello("").ClusterID
			if mine == "" || answer.ClusterID == "" || answer.ClusterID == mine {
				found <- nil
				return
			}
			found <- fmt.Errorf("%w: the data directory is of cluster %s, and %s is of cluster %s", errRefused, mine, address, answer.ClusterID)
		}()
	}
	var errs []error
	for range addresses {
		errs = append(errs, <-found)
	}
	return errors.Join(errs...)
}
