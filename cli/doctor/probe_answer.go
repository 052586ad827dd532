package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// place is an address under the name that was asked for.
type place struct {
	host string
	addr netip.Addr
	port int
}

// expected is the broker that should be found at an advertised address.
type expected struct {
	cluster string
	node    int32
	led     []Partition // partitions that only it answers for
}

// session is what answer works with: it can open more connections to the same place.
type session struct {
	*prober
	ctx   context.Context
	place place
	tls   bool
	asked bool // the other side wanted a certificate
}

// open connects again, with TLS if that was found to be needed. The connection ends with the context.
func (s *session) open() (*conn, error) {
	raw, err := s.connect(s.ctx, s.place.addr, s.place.port)
	if err != nil {
		return nil, wireError(err)
	}
	context.AfterFunc(s.ctx, func() { raw.Close() })
	if s.tls {
		secured, err := s.secure(raw)
		if err != nil {
			raw.Close()
			return nil, err
		}
		return &conn{Conn: secured, timeout: s.timeout}, nil
	}
	return &conn{Conn: raw, timeout: s.timeout}, nil
}

// answer finds out who is there, and if it is a broker, what it says of itself, its cluster and, if who is not nil, of
// whether it is the one expected.
func (p *prober) answer(ctx context.Context, at place, who *expected) *Answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{prober: p, ctx: ctx, place: at}
	a := &Answer{From: at.addr}
	c := s.greet(a)
	if c == nil {
		return a
	}
	defer c.Close()
	a.Kind = Broker
	if a.Versions.Code != 0 {
		return a
	}
	if _, ok := a.Versions.best(keyMetadata, 127); !ok {
		return a
	}
	err := c.view(a)
	if err != nil {
		s.whyNoView(a, err)
		return a
	}
	if who != nil {
		c.identify(a, who)
		return a
	}
	c.services(a)
	return a
}

// greet gets an answer to ApiVersions one way or another. It returns nil if there is none, and has said in a what is
// there instead.
func (s *session) greet(a *Answer) *conn {
	c, err := s.versions(a, newestVersions)
	if err == nil {
		return c
	}
	heard := err
	if isQuiet(err) && s.ctx.Err() == nil {
		if c, err := s.versions(a, 0); err == nil {
			a.OnlyOld = true
			return c
		}
	}
	if isQuiet(heard) || bytes.HasPrefix(a.First, []byte{0x15, 3}) { // 0x15 3 starts a TLS alert
		if c := s.greetTLS(a); c != nil || a.TLS != nil {
			return c
		}
	}
	if isQuiet(heard) && s.speaksHTTP() || bytes.HasPrefix(a.First, []byte("HTTP/")) {
		a.Kind = HTTP
		return nil
	}
	a.Kind = kindOf(heard)
	return nil
}

func kindOf(err error) Kind {
	switch {
	case errors.Is(err, errSilent):
		return Silent
	case errors.Is(err, errClosed):
		return Closes
	}
	return Stranger
}

// isQuiet says that nothing came at all, so that another way of speaking may be answered.
func isQuiet(err error) bool { return errors.Is(err, errClosed) || errors.Is(err, errSilent) }

const (
	keyListOffsets     = 2
	keyMetadata        = 3
	keyFindCoordinator = 10
	keyVersions        = 18
	keyDescribeConfigs = 32
	keyDescribeQuorum  = 55
	keyDescribeCluster = 60
	newestVersions     = 5
)

// versions asks for ApiVersions on a connection of its own, which it returns.
func (s *session) versions(a *Answer, version int16) (*conn, error) {
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	a.Versions, err = c.negotiate(version)
	if err != nil {
		if len(c.first) > 0 {
			a.First = c.first
		}
		c.Close()
		return nil, err
	}
	return c, nil
}

// negotiate asks in one version, and if that is not served, in the newest that is (KIP-511).
func (c *conn) negotiate(version int16) (*Versions, error) {
	resp, err := c.apiVersions(version, nil)
	if err != nil {
		return nil, err
	}
	if resp.ErrorCode == codeUnsupportedVersion && version > 0 {
		next, ok := collect(resp).best(keyVersions, version-1)
		if !ok {
			next = 0
		}
		if resp, err = c.apiVersions(next, nil); err != nil {
			return nil, err
		}
	}
	return collect(resp), nil
}

const (
	codeUnsupportedVersion = 35
	codeNotLeader          = 6
	codeInvalidRequest     = 42
	codeNotAuthorized      = 31 // CLUSTER_AUTHORIZATION_FAILED
	codeRebootstrap        = 129
)

// apiVersions asks once. From version 5 on (KIP-1242) the question may carry whom one expects.
func (c *conn) apiVersions(version int16, who *expected) (*kmsg.ApiVersionsResponse, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "streambus-doctor", "1"
	if who != nil {
		req.ClusterID, req.NodeID = &who.cluster, who.node
	}
	body, err := c.roundTrip(req)
	if err != nil {
		return nil, err
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = version
	if len(body) >= 2 && int16(binary.BigEndian.Uint16(body)) == codeUnsupportedVersion {
		resp.Version = 0 // a version that isn't served is refused in the oldest form
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, errStranger
	}
	return resp, nil
}

func collect(resp *kmsg.ApiVersionsResponse) *Versions {
	v := &Versions{Asked: resp.Version, Code: resp.ErrorCode, Ranges: map[int16]Range{}, Finalized: map[string]int16{}}
	for _, k := range resp.ApiKeys {
		v.Ranges[k.ApiKey] = Range{k.MinVersion, k.MaxVersion}
	}
	for _, f := range resp.FinalizedFeatures {
		v.Finalized[f.Name] = f.MaxVersionLevel
	}
	return v
}

// speaksHTTP asks as a browser would.
func (s *session) speaksHTTP() bool {
	c, err := s.open()
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(s.timeout))
	if _, err := io.WriteString(c, "HEAD / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	head := make([]byte, 5)
	n, _ := io.ReadFull(c, head)
	return string(head[:n]) == "HTTP/"
}

// whyNoView tells a broker that wants a login first from one that fails.
func (s *session) whyNoView(a *Answer, err error) {
	a.Failure = err.Error()
	if !isQuiet(err) {
		return
	}
	c, err := s.open()
	if err != nil {
		return
	}
	defer c.Close()
	req, resp := kmsg.NewPtrSASLHandshakeRequest(), kmsg.NewPtrSASLHandshakeResponse()
	req.Version, req.Mechanism = 1, "NONE-JUST-ASKING"
	// ILLEGAL_SASL_STATE, without a list, is what a listener without SASL answers.
	if err := c.ask(req, resp); err == nil && len(resp.SupportedMechanisms) > 0 {
		a.SASL = &SASL{resp.SupportedMechanisms}
	}
}
