package doctor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// largestFrame bounds an answer. Metadata of a large cluster is some megabytes; what text or a TLS record would claim as
// its length is beyond it.
const largestFrame = 64 << 20

var (
	errClosed   = errors.New("closed the connection without an answer")
	errSilent   = errors.New("no answer in time")
	errStranger = errors.New("what came is no Kafka answer")
)

// conn is one connection with one request at a time.
type conn struct {
	net.Conn
	timeout     time.Duration // of one request
	correlation int32
	first       []byte // what came instead of an answer
}

// ask sends req and decodes what comes back into resp, which gets the request's version.
func (c *conn) ask(req kmsg.Request, resp kmsg.Response) error {
	resp.SetVersion(req.GetVersion())
	body, err := c.roundTrip(req)
	if err != nil {
		return err
	}
	if resp.IsFlexible() {
		r := kbin.Reader{Src: body}
		kmsg.SkipTags(&r)
		body = r.Src
	}
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("%w: %s version %d: %w", errStranger, kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return nil
}

// roundTrip returns what follows the correlation id.
func (c *conn) roundTrip(req kmsg.Request) ([]byte, error) {
	c.correlation++
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, errClosed
	}
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("streambus-doctor")).AppendRequest(nil, req, c.correlation)
	if _, err := c.Write(frame); err != nil {
		return nil, wireError(err)
	}
	var head [8]byte
	if n, err := io.ReadFull(c, head[:4]); err != nil {
		c.first = bytes.Clone(head[:n])
		return nil, wireError(err)
	}
	size := int32(binary.BigEndian.Uint32(head[:4]))
	if size < 4 || size > largestFrame {
		c.first = append(bytes.Clone(head[:4]), c.more()...)
		return nil, errStranger
	}
	if _, err := io.ReadFull(c, head[4:]); err != nil {
		return nil, wireError(err)
	}
	if int32(binary.BigEndian.Uint32(head[4:])) != c.correlation {
		c.first = bytes.Clone(head[:])
		return nil, errStranger
	}
	var body bytes.Buffer // grows by what comes, not by what is claimed
	if _, err := io.CopyN(&body, c, int64(size-4)); err != nil {
		return nil, wireError(err)
	}
	return body.Bytes(), nil
}

// more reads a little of what a stranger goes on to say.
func (c *conn) more() []byte {
	_ = c.SetDeadline(time.Now().Add(min(c.timeout, 300*time.Millisecond)))
	buf := make([]byte, 60)
	n, _ := io.ReadAtLeast(c, buf, 1)
	return buf[:n]
}

func wireError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSilent
	}
	return fmt.Errorf("%w (%w)", errClosed, err)
}
