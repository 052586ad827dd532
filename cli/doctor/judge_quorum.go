package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostSilent is how much longer than its leader a voter may not have been heard.
const mostSilent = 10 * time.Second

// quorumFinding judges the metadata quorum as one broker describes it.
func quorumFinding(q *Quorum) Finding {
	const why = "without a majority of the voters no topic is made or changed and no partition gets another leader"
	switch {
	case q.Code == codeNotAuthorized:
		return Finding{Severity: Warning, What: "who is not logged in may not see the metadata quorum", Why: "whether it has a majority is not seen here",
			Do: "`cluster describe` with credentials shows it"}
	case q.Code != 0 || q.Leader < 0:
		what := "the metadata quorum has no leader that this broker knows of"
		if q.Code != 0 {
			what += ": " + errorName(q.Code)
		}
		return Finding{Severity: Problem, What: what, Why: why, Do: "start the controllers that are down, until more than half of the voters run and reach one another; their logs say who is missing"}
	}
	silent := q.silent()
	if len(silent) == 0 {
		return Finding{Severity: OK, What: fmt.Sprintf("metadata quorum: %s, led by node %d", count(len(q.Voters), "voter"), q.Leader)}
	}
	f := Finding{Severity: Warning, What: fmt.Sprintf("%d of %s of the metadata quorum not heard by its leader, node %d: %s", len(silent), count(len(q.Voters), "voter"), q.Leader, strings.Join(silent, ", ")),
		Why: why + "; the more are away, the fewer may fail", Do: "start the nodes that are named, or see their logs for why they don't reach the leader"}
	if 2*(len(q.Voters)-len(silent)) <= len(q.Voters) {
		f.Severity = Problem
	}
	return f
}

// silent are the voters that the leader has not heard for long. Both times are the leader's own: whose clock it is does not matter.
func (q *Quorum) silent() []string {
	i := slices.IndexFunc(q.Voters, func(v Voter) bool { return v.ID == q.Leader })
	if i < 0 || !q.Timed || q.Voters[i].Heard.IsZero() {
		return nil
	}
	now := q.Voters[i].Heard
	var list []string
	for _, v := range q.Voters {
		switch {
		case v.ID == q.Leader:
		case v.Heard.IsZero():
			list = append(list, fmt.Sprintf("node %d (never)", v.ID))
		case now.Sub(v.Heard) > mostSilent:
			list = append(list, fmt.Sprintf("node %d (for %s)", v.ID, now.Sub(v.Heard).Round(time.Second)))
		}
	}
	return list
}
