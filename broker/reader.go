package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/streambus/streambus/kafkaproto"
)

// frameReader reads frames off a connection through a small buffer, so that several small requests come with one system
// call, and puts the rest of a large one where it belongs without another copy.
type frameReader struct {
	c    *conn
	buf  []byte
	r, w int
	// proven is the size of the largest frame that arrived whole. So much is allocated at once for the next; beyond it a
	// frame's memory grows as its bytes arrive, because a claimed size is only a claim.
	proven int
}

const (
	readBufferBytes = 8 << 10
	// frameStep is what a frame gets on a new connection's word alone.
	frameStep = 128 << 10
)

func (fr *frameReader) init(c *conn) { *fr = frameReader{c: c, buf: make([]byte, readBufferBytes)} }

// Read serves from the buffer first.
func (fr *frameReader) Read(p []byte) (int, error) {
	if fr.r == fr.w {
		return fr.c.nc.Read(p)
	}
	n := copy(p, fr.buf[fr.r:fr.w])
	fr.r += n
	return n, nil
}

// fill has at least n bytes buffered.
func (fr *frameReader) fill(n int) error {
	if fr.r > 0 && fr.r+n > len(fr.buf) {
		fr.w = copy(fr.buf, fr.buf[fr.r:fr.w])
		fr.r = 0
	}
	for fr.w-fr.r < n {
		if fr.r == fr.w {
			fr.r, fr.w = 0, 0
		}
		m, err := fr.c.nc.Read(fr.buf[fr.w:])
		fr.w += m
		if fr.w-fr.r >= n {
			return nil
		}
		if err != nil {
			if err == io.EOF && fr.w > fr.r {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if fr.w > fr.r {
			fr.begin()
		}
	}
	return nil
}

// hasFrame says whether the next frame lies in the buffer as a whole.
func (fr *frameReader) hasFrame() bool {
	have := fr.w - fr.r
	if have < 4 {
		return false
	}
	size := int32(binary.BigEndian.Uint32(fr.buf[fr.r:]))
	return size >= 0 && int64(have) >= 4+int64(size)
}

func (fr *frameReader) begin() { fr.c.reading.Store(fr.c.s.env.Clock.Now().UnixNano()) }

// next reads one frame. It waits for the first byte as long as it takes; the sweeper ends what stalls after that.
func (fr *frameReader) next() (*frame, error) {
	if err := fr.fill(4); err != nil {
		return nil, err
	}
	c := fr.c
	if !c.requested {
		if what := foreignProtocol(fr.buf[fr.r:fr.w]); what != "" {
			return nil, fmt.Errorf("not the Kafka protocol: this looks like %s", what)
		}
	}
	size, err := kafkaproto.ReadFrameSize(fr, c.s.limits.frameBytes)
	if err != nil {
		return nil, err
	}
	f, err := fr.body(size)
	c.reading.Store(0)
	if err != nil {
		if errors.Is(err, io.EOF) && size > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	c.s.bytesIn.Add(int64(size) + 4)
	fr.proven = max(fr.proven, size)
	return f, nil
}

// body reads a frame of size bytes into memory that it takes from the server's limit step by step.
func (fr *frameReader) body(size int) (*frame, error) {
	c := fr.c
	m := &c.s.memory
	step := min(size, max(frameStep, fr.proven))
	f := &frame{memory: m}
	f.refs.Store(1)
	if !m.acquire(c, int64(step), false) {
		return nil, errServerClosed
	}
	f.buf, f.held = getBuffer(step), int64(step)
	read := 0
	for {
		if read < len(f.buf) && fr.w-fr.r < len(f.buf)-read {
			fr.begin()
		}
		n, err := io.ReadFull(fr, f.buf[read:])
		if read += n; err != nil {
			f.release()
			return nil, err
		}
		if read == size {
			break
		}
		c.reading.Store(0) // waiting for memory is not the client's fault
		if !fr.grow(f, min(size, 2*read)) {
			f.release()
			return nil, errServerClosed
		}
	}
	if c.turn.Load() {
		m.endTurn(c)
	}
	return f, nil
}

func (fr *frameReader) grow(f *frame, size int) bool {
	more := int64(size) - f.held
	if !f.memory.acquire(fr.c, more, true) {
		return false
	}
	f.held += more
	bigger := getBuffer(size)
	copy(bigger, f.buf)
	putBuffer(f.buf)
	f.buf = bigger
	return true
}

// foreignProtocol names what a peer speaks whose first bytes can't be a Kafka request, "" if they may be one.
func foreignProtocol(b []byte) string {
	if len(b) >= 3 && b[0] == 0x16 && b[1] == 0x03 {
		return "a TLS handshake, and this listener is not encrypted (security.protocol)"
	}
	switch string(b[:4]) {
	case "GET ", "POST", "HEAD", "PUT ", "OPTI", "DELE", "PATC", "CONN", "PRI ":
		return "an HTTP request (the admin listener has another port)"
	case "SSH-":
		return "an SSH client"
	}
	return ""
}
