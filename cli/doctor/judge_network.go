package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// bootstrapFindings judges one bootstrap address: name, connection, and what answers.
func bootstrapFindings(e *Endpoint, now time.Time) []Finding {
	subject := "bootstrap " + e.String()
	list := []Finding{lookupFinding(e)}
	if len(e.Dials) > 0 {
		list = append(list, dialFindings(e)...)
	}
	if e.Answer != nil {
		list = append(list, answerFindings(e, now)...)
	}
	for i := range list {
		list[i].Subject = subject
	}
	return list
}

func lookupFinding(e *Endpoint) Finding {
	l := e.Lookup
	switch {
	case e.Port < 1 || e.Port > 65535:
		return Finding{Severity: Problem, What: fmt.Sprintf("%d is no port", e.Port), Why: "a TCP port lies between 1 and 65535",
			Do: "give the port of the broker's client listener, 9092 unless it was changed"}
	case l.Literal:
		return Finding{Severity: OK, What: e.Host + " is an address, no name to resolve"}
	case l.Failure == None:
		return Finding{Severity: OK, What: fmt.Sprintf("%s resolves to %s", e.Host, addresses(l.Addrs))}
	}
	f := Finding{Severity: Problem, Why: "without an address nobody can connect"}
	switch l.Failure {
	case NotFound:
		f.What = fmt.Sprintf("the name %q does not resolve: %s", e.Host, l.Err)
		f.Do = "check the spelling; " + nameHint(e.Host)
	case TimedOut:
		f.What = fmt.Sprintf("no answer from the name server about %q: %s", e.Host, l.Err)
		f.Do = "check this machine's DNS settings (/etc/resolv.conf) and its way to the name server"
	default:
		f.What = fmt.Sprintf("the name %q could not be resolved: %s", e.Host, l.Err)
		f.Do = "check this machine's DNS settings"
	}
	return f
}

// nameHint says where a name that is unknown here is probably known.
func nameHint(host string) string {
	switch {
	case strings.HasSuffix(host, ".svc") || strings.Contains(host, ".svc.") || strings.HasSuffix(host, ".cluster.local"):
		return "this is a name of a Kubernetes service, known only inside of its cluster"
	case !strings.Contains(host, "."):
		return "a name without a dot is often that of a container or a pod, known only inside of its network"
	}
	return "ask whoever runs the broker for the name that is known where the client runs"
}

// addresses lists them with their families.
func addresses(list []netip.Addr) string {
	parts := make([]string, len(list))
	for i, a := range list {
		parts[i] = a.String() + " (" + family(a) + ")"
	}
	return strings.Join(parts, ", ")
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func dialFindings(e *Endpoint) []Finding {
	var list []Finding
	reached := e.reached()
	for _, d := range e.Dials {
		list = append(list, dialFinding(d, e.Port, reached))
	}
	return list
}

func (e *Endpoint) reached() bool {
	for _, d := range e.Dials {
		if d.Failure == None {
			return true
		}
	}
	return false
}

func dialFinding(d Dial, port int, reached bool) Finding {
	at := netip.AddrPortFrom(d.Addr, uint16(port)).String()
	if d.Failure == None {
		return Finding{Severity: OK, What: fmt.Sprintf("connected to %s in %s", at, d.Took.Round(time.Microsecond))}
	}
	f := Finding{Severity: Problem, What: dialWhat(at, d), Why: "the connection is where everything starts", Do: dialDo(d, port)}
	if !reached {
		return f
	}
	if d.Failure == Unreachable && !d.Addr.Is4() {
		return Finding{Severity: OK, What: fmt.Sprintf("no way to %s from here: this machine has no IPv6; other addresses of the name answer", at)}
	}
	f.Severity = Warning
	f.Why = "another address of the same name answers, but a client that tries only the first, or this one first, fails or is slow"
	f.Do += "; or take this address out of the name's records, or give the one that answers"
	return f
}

func dialWhat(at string, d Dial) string {
	switch d.Failure {
	case Refused:
		return "connection to " + at + " refused: the host is there, but nothing listens on that port"
	case TimedOut:
		return "no answer from " + at + " in time: something on the way drops the packets, or no host has that address"
	case Unreachable:
		return "no way to " + at + " from here (unreachable)"
	}
	return "connection to " + at + " failed: " + d.Err
}

func dialDo(d Dial, port int) string {
	switch d.Failure {
	case Refused:
		do := fmt.Sprintf("check that the broker runs and that its listeners property has port %d", port)
		if d.Addr.IsLoopback() {
			return do + "; if it runs in a container, publish the port (docker run -p)"
		}
		return do + " on an address that can be reached (listeners=PLAINTEXT://0.0.0.0:" + fmt.Sprint(port) + ", not localhost)"
	case TimedOut:
		return "check the address, firewalls and security groups between here and there, and that the port is open"
	case Unreachable:
		return "check this machine's routes, VPN and network; an address of a container network is reachable only from inside it"
	}
	return "see the error"
}
