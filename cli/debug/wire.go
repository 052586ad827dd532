package debug

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

// largestAnswer bounds what a broker, or whatever answers on its port, may make the command hold.
const largestAnswer = 256 << 20

// dialTimeout bounds connecting, TLS included.
const dialTimeout = 5 * time.Second

// conn is one connection to a broker, used for one request at a time.
type conn struct {
	net.Conn
	rd          *bufio.Reader
	formatter   *kmsg.RequestFormatter
	correlation int32
	versions    map[int16]kmsg.ApiVersionsResponseApiKey
	features    *kmsg.ApiVersionsResponse
}

// dial connects, asks what the broker serves and logs in. Everything on the connection must be over by t's timeout.
func dial(ctx context.Context, t cli.Target, address string) (*conn, error) {
	nc, err := connect(ctx, t, address)
	if err != nil {
		return nil, err
	}
	id := t.ClientID
	if id == "" {
		id = "streambus"
	}
	c := &conn{Conn: nc, rd: bufio.NewReader(nc), formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID(id))}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	err = c.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		err = c.learn()
	}
	if err == nil {
		err = c.login(ctx, t, address)
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	return c, nil
}

func connect(ctx context.Context, t cli.Target, address string) (net.Conn, error) {
	config, err := t.TLS.Config()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
}

// learn asks for the broker's versions: version 0 if it is too old for the newest.
func (c *conn) learn() error {
	req, resp := kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrApiVersionsResponse()
	req.Version = 3
	req.ClientSoftwareName, req.ClientSoftwareVersion = "streambus", "1"
	err := c.ask(req, resp)
	if err == nil && resp.ErrorCode == kerr.UnsupportedVersion.Code {
		req.Version = 0
		*resp = kmsg.NewApiVersionsResponse()
		err = c.ask(req, resp)
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("ApiVersions: %w", err)
	}
	c.versions, c.features = map[int16]kmsg.ApiVersionsResponseApiKey{}, resp
	for _, k := range resp.ApiKeys {
		c.versions[k.ApiKey] = k
	}
	return nil
}

// login goes through SASL, if the target says so.
func (c *conn) login(ctx context.Context, t cli.Target, address string) error {
	mechanism, err := t.SASL.Login()
	if err != nil || mechanism == nil {
		return err
	}
	shake, shaken := kmsg.NewPtrSASLHandshakeRequest(), kmsg.NewPtrSASLHandshakeResponse()
	shake.Version, shake.Mechanism = 1, mechanism.Name()
	if err := c.ask(shake, shaken); err != nil {
		return fmt.Errorf("SASL: %w", err)
	}
	if err := kerr.ErrorForCode(shaken.ErrorCode); err != nil {
		return fmt.Errorf("SASL: %w (the broker has %v)", err, shaken.SupportedMechanisms)
	}
	session, say, err := mechanism.Authenticate(ctx, address)
	if err != nil {
		return err
	}
	for done := false; !done || len(say) > 0; {
		req, resp := kmsg.NewPtrSASLAuthenticateRequest(), kmsg.NewPtrSASLAuthenticateResponse()
		req.Version, req.SASLAuthBytes = 1, say
		if err := c.ask(req, resp); err != nil {
			return fmt.Errorf("SASL: %w", err)
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			if resp.ErrorMessage != nil {
				err = fmt.Errorf("%w: %s", err, *resp.ErrorMessage)
			}
			return fmt.Errorf("SASL: %w", err)
		}
		if done {
			return nil
		}
		if done, say, err = session.Challenge(resp.SASLAuthBytes); err != nil {
			return fmt.Errorf("SASL: %w", err)
		}
	}
	return nil
}

// ask sends req, whose version is set, and decodes its answer.
func (c *conn) ask(req kmsg.Request, resp kmsg.Response) error {
	if err := c.send(req); err != nil {
		return err
	}
	body, err := c.receive()
	if err != nil {
		return err
	}
	return decodeAnswer(req, resp, body)
}

func (c *conn) send(req kmsg.Request) error {
	c.correlation++
	_, err := c.Write(c.formatter.AppendRequest(nil, req, c.correlation))
	return err
}

// receive returns what follows the correlation id.
func (c *conn) receive() ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(c.rd, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errClosed
		}
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:4]))
	if size < 4 || size > largestAnswer {
		return nil, fmt.Errorf("an answer of %d bytes can't be one", size)
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != c.correlation {
		return nil, fmt.Errorf("answer to request %d instead of %d", id, c.correlation)
	}
	var body bytes.Buffer // grows by what comes, not by what is claimed
	if _, err := io.CopyN(&body, c.rd, int64(size-4)); err != nil {
		return nil, errClosed
	}
	return body.Bytes(), nil
}

// errClosed is also how Kafka answers what it can't read.
var errClosed = errors.New("the broker closed the connection without an answer")

func decodeAnswer(req kmsg.Request, resp kmsg.Response, body []byte) error {
	resp.SetVersion(req.GetVersion())
	if v, ok := resp.(*kmsg.ApiVersionsResponse); ok && len(body) >= 2 &&
		int16(binary.BigEndian.Uint16(body)) == kerr.UnsupportedVersion.Code {
		v.SetVersion(0) // KIP-511: the answer to a version that the broker doesn't have
	}
	rest := body
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		r := kbin.Reader{Src: rest}
		kmsg.SkipTags(&r)
		rest = r.Src
	}
	if err := resp.ReadFrom(rest); err != nil {
		return fmt.Errorf("the answer can't be read as %s version %d: %w; its %d bytes: %x",
			kmsg.NameForKey(req.Key()), resp.GetVersion(), err, len(body), body[:min(len(body), 512)])
	}
	return nil
}
