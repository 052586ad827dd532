package doctor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// greetTLS tries ApiVersions inside of TLS. If TLS is spoken, a.TLS is set, whether or not it comes to an answer.
func (s *session) greetTLS(a *Answer) *conn {
	raw, err := s.connect(s.ctx, s.place.addr, s.place.port)
	if err != nil {
		return nil
	}
	defer raw.Close()
	secured, err := s.secure(raw)
	if err != nil {
		var header tls.RecordHeaderError
		switch {
		case errors.As(err, &header):
			if string(header.RecordHeader[:]) == "HTTP/" {
				a.First = header.RecordHeader[:]
			}
		case strings.Contains(err.Error(), "tls: "):
			a.TLS, a.Kind = &TLS{Err: err.Error(), Asked: s.asked}, Stranger
		}
		return nil
	}
	a.TLS, s.tls = s.certificate(secured), true
	a.First = nil
	c, err := s.versions(a, newestVersions)
	if err != nil {
		a.Kind = kindOf(err)
		if strings.Contains(err.Error(), "tls: ") { // with TLS 1.3 a refused client certificate shows in the first read
			a.TLS.Err, a.TLS.Asked = err.Error(), s.asked
		} else if isQuiet(err) && s.speaksHTTP() || bytes.HasPrefix(a.First, []byte("HTTP/")) {
			a.Kind = HTTP
		}
		return nil
	}
	return c
}

// secure does the handshake. It verifies nothing: what is wrong with the certificate is a finding of its own, and what
// lies behind it is to be seen all the same. Nothing secret is ever sent.
func (s *session) secure(raw net.Conn) (*tls.Conn, error) {
	cfg := &tls.Config{InsecureSkipVerify: true}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked = true
		return &tls.Certificate{}, nil // none
	}
	if _, err := netip.ParseAddr(s.place.host); err != nil {
		cfg.ServerName = s.place.host
	}
	c := tls.Client(raw, cfg)
	_ = raw.SetDeadline(time.Now().Add(s.timeout))
	if err := c.HandshakeContext(s.ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (s *session) certificate(c *tls.Conn) *TLS {
	chain := c.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return &TLS{}
	}
	leaf := chain[0]
	t := &TLS{Names: leaf.DNSNames, NotAfter: leaf.NotAfter}
	for _, ip := range leaf.IPAddresses {
		t.Names = append(t.Names, ip.String())
	}
	if err := leaf.VerifyHostname(s.place.host); err != nil {
		t.NameErr = err.Error()
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	// The dates are a finding of their own, so they are left out of this one.
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Second)}); err != nil {
		t.TrustErr = err.Error()
	}
	return t
}
