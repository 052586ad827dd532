package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientID is what brokers see in their logs.
const clientID = "streambus-bench"

// maxResponse bounds what a broker may make the driver hold.
const maxResponse = 1 << 30

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))

// conn is one connection to a broker, plainly: no retries, no metadata, nothing hidden. It is used by one goroutine,
// except that one may write while another reads.
type conn struct {
	nc       net.Conn
	rd       *bufio.Reader
	versions map[int16]int16 // newest version of each key that the broker serves
	last     int32           // correlation id of call's last request
	out, in  []byte          // reused by call
}

func dial(ctx context.Context, addr string) (*conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, rd: bufio.NewReaderSize(nc, 32<<10)}
	if err := c.learnVersions(); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("broker %s: %w", addr, err)
	}
	return c, nil
}

func (c *conn) learnVersions() error {
	req := kmsg.NewPtrApiVersionsRequest()
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := c.call(req, resp); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	c.versions = map[int16]int16{}
	for _, k := range resp.ApiKeys {
		c.versions[k.ApiKey] = k.MaxVersion
	}
	return nil
}

// version is the newest one that the broker serves, limit at most.
func (c *conn) version(key, limit int16) (int16, error) {
	newest, ok := c.versions[key]
	if !ok {
		return 0, fmt.Errorf("the broker does not serve %s", kmsg.NameForKey(key))
	}
	return min(newest, limit), nil
}

// call sends req, whose version is set, and reads its answer. Bytes in resp are valid until the next call.
func (c *conn) call(req kmsg.Request, resp kmsg.Response) error {
	c.last++
	c.out = formatter.AppendRequest(c.out[:0], req, c.last)
	if _, err := c.nc.Write(c.out); err != nil {
		return err
	}
	body, err := c.readFrame()
	if err != nil {
		return err
	}
	if id := int32(binary.BigEndian.Uint32(body)); id != c.last {
		return fmt.Errorf("answer to request %d instead of %d", id, c.last)
	}
	resp.SetVersion(req.GetVersion())
	return decode(resp, body[4:])
}

// readFrame reads one answer into c.in, correlation id first.
func (c *conn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.rd, size[:]); err != nil {
		return nil, noEOF(err)
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 4 || n > maxResponse {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	if cap(c.in) < n {
		c.in = make([]byte, n+n/4)
	}
	c.in = c.in[:n]
	_, err := io.ReadFull(c.rd, c.in)
	return c.in, noEOF(err)
}

// decode reads a response behind its correlation id.
func decode(resp kmsg.Response, body []byte) error {
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		r := kbin.Reader{Src: body}
		kmsg.SkipTags(&r)
		body = r.Src
	}
	return resp.ReadFrom(body)
}

// noEOF names what a closed connection means here.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the broker closed the connection")
	}
	return err
}
