package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// advertised is one broker's address as a bootstrap address gave it, with what was seen there.
type advertised struct {
	start   *Endpoint
	cluster string
	alone   bool // the cluster has one broker
	member  Member
	seen    *Endpoint // nil: not looked at
}

func (a *advertised) subject() string {
	return fmt.Sprintf("broker %d, advertised as %s (bootstrap %s)", a.member.ID, a.member, a.start)
}

// mostAhead is how far a record may lie in the future before a clock is suspected.
const mostAhead = time.Minute

// advertisedFindings judges what a client meets that goes where it was told to go.
func advertisedFindings(a *advertised, now time.Time) []Finding {
	list := a.findings(now)
	for i := range list {
		list[i].Subject = a.subject()
	}
	return list
}

func (a *advertised) findings(now time.Time) []Finding {
	if a.member.Fenced {
		return []Finding{{Severity: Warning, What: "this broker is registered but fenced",
			Why: "no client is sent there, and it leads nothing", Do: "start it; if it runs, see its log for why its heartbeats don't reach the controller"}}
	}
	if f, bad := a.misleading(); bad {
		return []Finding{f}
	}
	if f := a.unreached(); f != nil {
		return []Finding{*f}
	}
	e := a.seen
	list := []Finding{{Severity: OK, What: fmt.Sprintf("advertised %s, resolved to %s", a.member, resolved(e))}}
	for _, f := range dialFindings(e) {
		if f.Severity != OK {
			list = append(list, f)
		}
	}
	if f, bad := a.foreign(now); bad {
		return append(list, f...)
	}
	list = append(list, a.secured(now)...)
	return append(list, a.identity(now)...)
}

// secured compares how the advertised address speaks with how the bootstrap address did: a client speaks to both in the
// same way, and checks the certificate against the advertised name.
func (a *advertised) secured(now time.Time) []Finding {
	start, seen := a.start.Answer.TLS, a.seen.Answer.TLS
	if (start == nil) != (seen == nil) {
		one, other := "plain text", "TLS"
		if seen == nil {
			one, other = other, one
		}
		return []Finding{{Severity: Problem, What: fmt.Sprintf("the bootstrap address speaks %s, the advertised one %s", one, other),
			Why: "a client speaks to both in the same way, so one of them fails",
			Do:  "advertise for each listener the port of that same listener: " + a.advise()}}
	}
	if seen == nil || a.seen.Host == a.start.Host && a.seen.Port == a.start.Port {
		return nil // its certificate has been judged
	}
	var list []Finding
	for _, f := range certificateFindings(seen, now) {
		if f.Severity == Problem {
			list = append(list, f)
		}
	}
	return list
}

// misleading finds addresses that are wrong whatever is seen there from here.
func (a *advertised) misleading() (Finding, bool) {
	f := Finding{Severity: Problem, Do: a.advise()}
	ip, err := netip.ParseAddr(a.member.Host)
	ip = ip.Unmap()
	switch {
	case a.member.Host == "" || a.member.Port < 1 || a.member.Port > 65535:
		f.What = fmt.Sprintf("it advertises %q, which is no address", a.member)
		f.Why = "after bootstrap, clients connect to the advertised address and to no other"
	case err == nil && ip.IsUnspecified():
		f.What = fmt.Sprintf("it advertises %s, which is no address to connect to", a.member)
		f.Why = a.member.Host + " means \"all interfaces\" when listening; a client that connects there reaches its own machine or nothing"
	case isLoopback(a.member.Host, ip) && !isHere(a.start):
		f.What = fmt.Sprintf("it was reached at %s but tells clients to connect to %s", a.start, a.member)
		f.Why = "on every other machine " + a.member.Host + " is that machine itself: clients bootstrap fine, then fail to connect, or reach another broker"
	default:
		return Finding{}, false
	}
	return f, true
}

func isLoopback(host string, ip netip.Addr) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return ip.IsLoopback() || host == "localhost" || strings.HasPrefix(host, "localhost.") || strings.HasSuffix(host, ".localhost")
}

// isHere says that the bootstrap address is this machine's loopback, so that an advertised loopback serves as well.
func isHere(e *Endpoint) bool {
	for _, a := range e.Lookup.Addrs {
		if !a.IsLoopback() {
			return false
		}
	}
	return true
}

// unreached is the finding if nothing accepts a connection at the advertised address.
func (a *advertised) unreached() *Finding {
	e := a.seen
	f := &Finding{Severity: Problem, Why: "after bootstrap, clients connect to the advertised address and to no other", Do: a.advise()}
	if e.Lookup.Failure != None {
		f.What = fmt.Sprintf("it advertises the name %q, which does not resolve here (%s)", a.member.Host, e.Lookup.Failure)
		if hint := nameHint(a.member.Host); strings.HasPrefix(hint, "a name") || strings.HasPrefix(hint, "this is") {
			f.Why += "; " + hint
			f.Do += "; if clients inside of that network need the old name, give the broker two listeners, one for each side"
		}
		return f
	}
	if e.reached() {
		return nil
	}
	var whats []string
	for _, d := range e.Dials {
		whats = append(whats, dialWhat(netip.AddrPortFrom(d.Addr, uint16(e.Port)).String(), d))
	}
	f.What = fmt.Sprintf("it was reached at %s but advertises %s, where no client gets through from here: %s", a.start, a.member, strings.Join(whats, "; "))
	f.Why += a.whyUnreached()
	if a.start.String() == e.String() {
		f.Do = "it answered at this same address a moment ago: see whether it is overloaded or limits connections (max.connections)"
	} else if !a.alone {
		f.Do = "start the broker if it does not run; if it does, " + f.Do
	}
	return f
}

// whyUnreached compares where the bootstrap address lies with where the advertised one does.
func (a *advertised) whyUnreached() string {
	switch {
	case a.member.Host == a.start.Host && int(a.member.Port) != a.start.Port:
		return "; the host is right, the port is not: a port that a container publishes or a balancer forwards under another number must be advertised by that number"
	case allPrivate(a.seen.Lookup.Addrs) && !allPrivate(a.start.Lookup.Addrs):
		return "; the advertised address is a private one, known only inside of its network"
	}
	return ""
}

func allPrivate(list []netip.Addr) bool {
	for _, a := range list {
		if !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return false
		}
	}
	return len(list) > 0
}

// foreign is about an advertised address where something answers that is no broker to talk to. That a broker speaks TLS
// is said at its bootstrap address.
func (a *advertised) foreign(now time.Time) ([]Finding, bool) {
	if a.seen.Answer.View != nil {
		return nil, false
	}
	var list []Finding
	for _, f := range answerFindings(a.seen, now) {
		if f.Severity == Problem {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		list = append(list, Finding{Severity: Problem, What: "it gives no metadata", Why: "clients ask for it first", Do: a.advise()})
	}
	return list, true
}

func (a *advertised) identity(now time.Time) []Finding {
	id, view := a.seen.Answer.Identity, a.seen.Answer.View
	var list []Finding
	switch {
	case a.cluster != "" && view.ClusterID != "" && view.ClusterID != a.cluster:
		return []Finding{{Severity: Problem, What: fmt.Sprintf("the advertised address leads to another cluster: %s, not %s", view.ClusterID, a.cluster),
			Why: "clients that bootstrap here read and write there, or fail with errors about unknown topics", Do: a.advise()}}
	case id.Checked && !id.Match:
		return []Finding{{Severity: Problem, What: fmt.Sprintf("who answers there is not broker %d", a.member.ID),
			Why: "clients get NOT_LEADER_OR_FOLLOWER for what broker " + fmt.Sprint(a.member.ID) + " leads, and never get through",
			Do:  a.advise() + "; a load balancer in front of several brokers can't stand for one of them"}}
	case id.Checked:
		list = append(list, Finding{Severity: OK, What: fmt.Sprintf("broker %d of this cluster answers there", a.member.ID)})
	default:
		list = append(list, Finding{Severity: OK, What: "a broker of this cluster answers there; it offers no way to ask for its node id"})
	}
	if ahead := id.Newest.Sub(now); !id.Newest.IsZero() && ahead > mostAhead {
		list = append(list, Finding{Severity: Warning, What: fmt.Sprintf("it has records from %s in the future", ahead.Round(time.Second)),
			Why: "retention and searches by time go by it: the clock of a producer or a broker is ahead, or this machine's is behind",
			Do:  "synchronise the clocks (NTP) of brokers, producers and this machine"})
	}
	return list
}

// advise says which setting to change, and to what.
func (a *advertised) advise() string {
	to := "HOST:PORT"
	what := fmt.Sprintf("; HOST:PORT is where clients reach broker %d alone", a.member.ID)
	if a.alone {
		to, what = a.start.String(), ""
	}
	return fmt.Sprintf("on broker %d set advertised.listeners=%s://%s%s (the name before :// is the listener's; "+
		"KAFKA_ADVERTISED_LISTENERS in a container; streambus serve --advertise %s) and restart it", a.member.ID, a.listener(), to, what, to)
}

// listener guesses the listener's name from what it speaks: by default a listener is called as its protocol.
func (a *advertised) listener() string {
	if a.start.Answer != nil && a.start.Answer.TLS != nil {
		return "SSL"
	}
	return "PLAINTEXT"
}

func resolved(e *Endpoint) string {
	if e.Lookup.Literal {
		return "itself"
	}
	return addresses(e.Lookup.Addrs)
}

// answersText is the last column of the table.
func (a *advertised) answersText() string {
	e := a.seen
	switch {
	case a.member.Fenced:
		return "fenced"
	case e == nil:
		return "not tried"
	case e.Lookup.Failure != None:
		return "name " + string(e.Lookup.Failure)
	case len(e.Dials) == 0:
		return "no address"
	case e.Answer == nil:
		return string(e.Dials[0].Failure)
	case e.Answer.Kind != Broker:
		return string(e.Answer.Kind)
	case e.Answer.View == nil:
		return "no metadata"
	case a.cluster != "" && e.Answer.View.ClusterID != a.cluster:
		return "another cluster"
	case e.Answer.Identity.Checked && !e.Answer.Identity.Match:
		return "another broker"
	}
	return "yes"
}

// sharedFindings finds brokers of one list that advertise the same address.
func sharedFindings(list []*advertised) []Finding {
	var out []Finding
	first := map[string]*advertised{}
	for _, a := range list {
		key := a.start.String() + " " + a.member.String()
		if other, ok := first[key]; ok && other.member.ID != a.member.ID && !a.member.Fenced && !other.member.Fenced {
			out = append(out, Finding{Subject: a.subject(), Severity: Problem, What: fmt.Sprintf("brokers %d and %d advertise the same address", other.member.ID, a.member.ID),
				Why: "one of them is never reached, and what it leads can't be written or read", Do: a.advise()})
			continue
		}
		first[key] = a
	}
	return out
}
