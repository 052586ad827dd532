package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// mostAddresses bounds how many addresses of one name are tried, mostAtOnce how many endpoints are looked at at a time.
const (
	mostAddresses = 16
	mostAtOnce    = 16
)

// prober looks. Everything outside the process goes through its functions.
type prober struct {
	timeout time.Duration // of each step
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	now     func() time.Time
}

// endpoint looks at one host and port; then, at the first address that accepts a connection, at what answers.
func (p *prober) endpoint(ctx context.Context, host string, port int, who *expected) *Endpoint {
	e := &Endpoint{Host: host, Port: port, Lookup: p.lookup(ctx, host)}
	if port < 1 || port > 65535 {
		return e
	}
	e.Dials = make([]Dial, min(len(e.Lookup.Addrs), mostAddresses))
	var wg sync.WaitGroup
	for i := range e.Dials {
		wg.Go(func() { e.Dials[i] = p.try(ctx, e.Lookup.Addrs[i], port) })
	}
	wg.Wait()
	for _, d := range e.Dials {
		if d.Failure == None {
			e.Answer = p.answer(ctx, place{host, d.Addr, port}, who)
			break
		}
	}
	return e
}

func (p *prober) lookup(ctx context.Context, host string) Lookup {
	if a, err := netip.ParseAddr(host); err == nil {
		return Lookup{Literal: true, Addrs: []netip.Addr{a.Unmap()}}
	}
	if host == "" {
		return Lookup{Failure: NotFound, Err: "the host is empty"}
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	addrs, err := p.resolve(ctx, host)
	if err == nil && len(addrs) == 0 {
		return Lookup{Failure: NotFound, Err: "the name has no address"}
	}
	if err != nil {
		return Lookup{Failure: lookupFailure(err), Err: err.Error()}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return Lookup{Addrs: addrs}
}

func lookupFailure(err error) Failure {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return NotFound
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Failed
}

// try connects and hangs up.
func (p *prober) try(ctx context.Context, addr netip.Addr, port int) Dial {
	start := p.now()
	c, err := p.connect(ctx, addr, port)
	d := Dial{Addr: addr, Took: p.now().Sub(start)}
	if err != nil {
		d.Failure, d.Err = dialFailure(err), err.Error()
		return d
	}
	c.Close()
	return d
}

func (p *prober) connect(ctx context.Context, addr netip.Addr, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.dial(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(port)))
}

func dialFailure(err error) Failure {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return Unreachable
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Failed
}

// each runs fn for 0..n-1, some at a time.
func each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, mostAtOnce)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			fn(i)
		})
	}
	wg.Wait()
}
