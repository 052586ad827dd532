package doctor

import (
	"fmt"
	"slices"
)

// serviceFindings judges consumer groups, configurations and the metadata quorum, as far as they were asked for.
func serviceFindings(a *Answer) []Finding {
	var list []Finding
	if c := a.Services.Coordinator; c != nil {
		list = append(list, coordinatorFinding(c, a.View))
	}
	switch code := a.Services.Configs; {
	case code == nil:
	case *code == 0:
		list = append(list, Finding{Severity: OK, What: "configurations can be described"})
	default:
		list = append(list, Finding{Severity: Warning, What: "DescribeConfigs answers " + errorName(*code),
			Why: "tools can't show or change configurations",
			Do:  "see the broker's log; with authorization, whoever needs it must be allowed to describe configurations"})
	}
	if a.Services.Quorum != nil {
		list = append(list, quorumFinding(a.Services.Quorum))
	}
	return list
}

func coordinatorFinding(c *Coordinator, v *View) Finding {
	at := fmt.Sprintf("broker %d at %s", c.Member.ID, c.Member)
	if c.Code != 0 {
		return Finding{Severity: Warning, What: "who coordinates a consumer group is answered with " + errorName(c.Code),
			Why: "consumers in groups wait until there is a coordinator",
			Do:  "see whether the partitions of " + offsetsTopic + " have leaders; `topic describe` shows them"}
	}
	i := slices.IndexFunc(v.Brokers, func(m Member) bool { return m.ID == c.Member.ID })
	switch {
	case i < 0:
		return Finding{Severity: Problem, What: "a consumer group would be coordinated by " + at + ", which is not among the brokers",
			Why: "consumers in groups can't reach their coordinator", Do: "see whether that broker runs and has this listener"}
	case v.Brokers[i].Host != c.Member.Host || v.Brokers[i].Port != c.Member.Port:
		return Finding{Severity: Problem, What: fmt.Sprintf("a consumer group is sent to %s, but Metadata has that broker at %s", at, v.Brokers[i]),
			Why: "consumers in groups go to another address than producers, which may lead nowhere",
			Do:  "make both addresses the same: a proxy in between must change FindCoordinator's answers too"}
	}
	return Finding{Severity: OK, What: "a consumer group would be coordinated by " + at}
}
