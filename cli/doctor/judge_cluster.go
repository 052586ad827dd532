package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// viewFindings judges what one bootstrap address says of its cluster.
func viewFindings(v *View) []Finding {
	var list []Finding
	switch {
	case v.ClusterID != "":
		list = append(list, Finding{Severity: OK, What: "cluster id " + v.ClusterID})
	case v.Version >= 2:
		list = append(list, Finding{Severity: Warning, What: "the cluster has no id", Why: "clients can't tell when an address leads to another cluster", Do: "see the broker's log: a broker gets the id from its controller"})
	}
	if v.Version >= 1 {
		list = append(list, controllerFinding(v))
	}
	if len(v.Brokers) == 0 {
		list = append(list, Finding{Severity: Problem, What: "it knows of no broker, not even itself", Why: "clients have nowhere to go",
			Do: "wait until the broker has registered with its controller; see its log if that takes longer than seconds"})
	}
	if v.LeftOut > 0 {
		list = append(list, Finding{Severity: Warning, What: fmt.Sprintf("%s more are not looked at", count(v.LeftOut, "broker")),
			Why: "what is wrong with them is not seen here", Do: "give their addresses with -b"})
	}
	return append(list, leaderFindings(v)...)
}

func controllerFinding(v *View) Finding {
	for _, b := range v.Brokers {
		if b.ID == v.Controller {
			return Finding{Severity: OK, What: fmt.Sprintf("controller: broker %d; the cluster has %s", v.Controller, count(len(v.Brokers), "broker"))}
		}
	}
	f := Finding{Severity: Warning, What: fmt.Sprintf("the controller (%d) is not among the brokers", v.Controller),
		Why: "creating and changing topics is sent there by some clients", Do: "see the brokers' logs for the election of a controller"}
	if v.Controller < 0 {
		f.What = "no controller is known"
	}
	return f
}

func leaderFindings(v *View) []Finding {
	var list []Finding
	if v.NoLeader > 0 {
		list = append(list, Finding{Severity: Problem, What: fmt.Sprintf("%d of %s without a leader: %s", v.NoLeader, count(v.Partitions, "partition"), named(v.Leaderless, v.NoLeader)),
			Why: "nothing can be written to or read from them until there is one",
			Do:  "start the brokers that hold their in-sync replicas; `topic describe` shows which"})
	}
	if v.NumLost > 0 {
		list = append(list, Finding{Severity: Problem, What: fmt.Sprintf("%s led by a broker that is not in the list: %s", count(v.NumLost, "partition"), named(v.Lost, v.NumLost)),
			Why: "clients don't know where to send requests for them", Do: "see whether that broker has this listener (it must be in its advertised.listeners too), and whether it runs"})
	}
	if len(list) == 0 {
		list = append(list, Finding{Severity: OK, What: fmt.Sprintf("%s, each with a leader", count(v.Partitions, "partition"))})
	}
	if v.NumLagging > 0 {
		list = append(list, Finding{Severity: Warning, What: fmt.Sprintf("%d of %s under-replicated: %s; replicas that are not in sync are on %s %s",
			v.NumLagging, count(v.Partitions, "partition"), named(v.Lagging, v.NumLagging), plural(len(v.Behind), "broker"), ids(v.Behind)),
			Why: "fewer failures are survived, and writes with acks=all are refused once fewer are in sync than min.insync.replicas",
			Do:  "start those brokers if they don't run, and see their logs if they do; `cluster describe --partitions` shows all"})
	}
	return list
}

// ids names the first few of some brokers.
func ids(list []int32) string {
	var names []string
	for _, id := range list[:min(len(list), mostNamed)] {
		names = append(names, strconv.Itoa(int(id)))
	}
	return named(names, len(list))
}

func named(list []string, total int) string {
	text := strings.Join(list, ", ")
	if total > len(list) {
		text += ", ..."
	}
	return text
}

// clusterFindings compares what the bootstrap addresses say with each other.
func clusterFindings(starts []*Endpoint) []Finding {
	byID := map[string][]string{}
	var ids []string
	for _, e := range starts {
		if e.Answer == nil || e.Answer.View == nil || e.Answer.View.ClusterID == "" {
			continue
		}
		id := e.Answer.View.ClusterID
		if byID[id] == nil {
			ids = append(ids, id)
		}
		byID[id] = append(byID[id], e.String())
	}
	if len(ids) < 2 {
		return nil
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf("%s is cluster %s", strings.Join(byID[id], " and "), id)
	}
	return []Finding{{Subject: "cluster", Severity: Problem, What: "the bootstrap addresses belong to different clusters: " + strings.Join(parts, ", "),
		Why: "a client ends up in one of them by chance", Do: "give addresses of one cluster only"}}
}
