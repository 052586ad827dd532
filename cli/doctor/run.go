package doctor

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/streambus/streambus/cli"
)

// DefaultTimeout is how long each step may take.
const DefaultTimeout = 5 * time.Second

// Options says where to look. The functions are the system's if nil.
type Options struct {
	Bootstrap []string      // as cli.Target's
	Timeout   time.Duration // of each step: one name, one connection, one answer; DefaultTimeout if 0
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Now       func() time.Time
}

func (o Options) prober() *prober {
	p := &prober{timeout: o.Timeout, resolve: o.Resolve, dial: o.Dial, now: o.Now}
	if p.timeout <= 0 {
		p.timeout = DefaultTimeout
	}
	if p.resolve == nil {
		p.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if p.dial == nil {
		p.dial = (&net.Dialer{}).DialContext
	}
	if p.now == nil {
		p.now = time.Now
	}
	return p
}

// Run looks and judges. The error is a usage error or the context's; whatever is wrong with the cluster stands in the
// report.
func Run(ctx context.Context, o Options) (*Report, error) {
	addresses, err := cli.Target{Bootstrap: o.Bootstrap}.Addresses()
	if err != nil {
		return nil, err
	}
	p := o.prober()
	starts := make([]*Endpoint, len(addresses))
	each(len(addresses), func(i int) {
		host, port := split(addresses[i])
		starts[i] = p.endpoint(ctx, host, port, nil)
	})
	told := tell(starts)
	p.visit(ctx, told)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return judge(starts, told, p.now()), nil
}

// split never fails: what is no number is a port that does not exist, which is a finding.
func split(address string) (string, int) {
	host, text, _ := net.SplitHostPort(address)
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int(port)
}

// tell lists the addresses that the bootstrap addresses advertise. One that several give is listed for the first that
// does; which is how it differs from them that counts, so bootstrap addresses of different kinds give it again.
func tell(starts []*Endpoint) []*advertised {
	type key struct {
		id        int32
		at        string
		here, tls bool
	}
	known := map[key]bool{}
	var list []*advertised
	for _, e := range starts {
		if e.Answer == nil || e.Answer.View == nil {
			continue
		}
		v := e.Answer.View
		for _, m := range v.Brokers {
			k := key{m.ID, m.String() + " " + v.ClusterID, isHere(e), e.Answer.TLS != nil}
			if known[k] {
				continue
			}
			known[k] = true
			list = append(list, &advertised{start: e, cluster: v.ClusterID, alone: len(v.Brokers) == 1, member: m})
		}
	}
	return list
}

// visit goes to the advertised addresses.
func (p *prober) visit(ctx context.Context, told []*advertised) {
	each(len(told), func(i int) {
		a := told[i]
		if a.member.Fenced {
			return
		}
		who := &expected{cluster: a.cluster, node: a.member.ID, led: a.start.Answer.View.Led[a.member.ID]}
		a.seen = p.endpoint(ctx, a.member.Host, int(a.member.Port), who)
	})
}

// judge makes the report of what was seen; it looks at nothing else.
func judge(starts []*Endpoint, told []*advertised, now time.Time) *Report {
	r := &Report{Brokers: []Reached{}, Findings: []Finding{}}
	for _, e := range starts {
		r.add(bootstrapFindings(e, now)...)
		if e.Answer == nil || e.Answer.View == nil {
			continue
		}
		v := e.Answer.View
		if r.ClusterID == "" {
			r.ClusterID = v.ClusterID
		}
		if r.Controller == nil && v.Controller >= 0 {
			r.Controller = &v.Controller
		}
		for _, f := range append(viewFindings(v), serviceFindings(e.Answer)...) {
			f.Subject = "bootstrap " + e.String()
			r.add(f)
		}
	}
	r.add(clusterFindings(starts)...)
	for _, a := range told {
		r.add(advertisedFindings(a, now)...)
		r.Brokers = append(r.Brokers, a.reached())
	}
	r.add(sharedFindings(told)...)
	return r
}

func (a *advertised) reached() Reached {
	b := Reached{Bootstrap: a.start.String(), Broker: a.member.ID, Advertised: a.member.String(), Rack: a.member.Rack,
		Addresses: []string{}, Answers: a.answersText()}
	if a.seen != nil {
		for _, addr := range a.seen.Lookup.Addrs {
			b.Addresses = append(b.Addresses, addr.String())
		}
	}
	return b
}
