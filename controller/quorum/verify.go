package quorum

import "github.com/hashicorp/raft"

// verifyTries bounds how often a majority is asked; one who waits is told to try again.
const verifyTries = 5

// verified says whether a majority takes this node for the leader at some moment after the call. raft counts answers that
// come after its VerifyLeader was called, but a process that was stopped finds answers of long ago in its sockets; so they
// must be answers to what was sent after the call, too.
func (q *Quorum) verified() bool {
	began := q.options.Env.Clock.Now()
	for range verifyTries {
		answer := make(chan error, 1)
		go func() { answer <- q.raft.Load().VerifyLeader().Error() }() // never answered if raft shuts down meanwhile
		select {
		case err := <-answer:
			if err != nil {
				return false
			}
		case <-q.closing:
			return false
		}
		members := q.raft.Load().GetConfiguration()
		if members.Error() != nil {
			return false
		}
		term := q.raft.Load().CurrentTerm()
		voters, confirmed := 0, 0
		for _, s := range members.Configuration().Servers {
			if s.Suffrage != raft.Voter {
				continue
			}
			voters++
			p, ok := q.progress.of(s.ID, term)
			if s.ID == q.id || ok && !p.asked.Before(began) {
				confirmed++
			}
		}
		if confirmed > voters/2 {
			return true
		}
	}
	return false
}
