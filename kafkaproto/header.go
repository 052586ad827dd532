package kafkaproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Keys whose headers have rules of their own.
const (
	keyFetch              = 1
	keyControlledShutdown = 7
	keyApiVersions        = 18
)

// RequestHeader opens every request (versions 0 to 2; which one follows from key and version).
type RequestHeader struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      *string // nil if the client gave none

	known bool
}

// Known tells whether this build knows the API key in this version, and so could read the rest of the header. A broker
// may serve fewer versions than are known.
func (h RequestHeader) Known() bool { return h.known }

var errShortHeader = errors.New("request header is cut short")

// ParseRequestHeader reads the header of a request frame (without its 4-byte length) and returns what follows it. For
// an unknown key or version only the first three fields can be read: then body is nil, Known is false and err nil, so
// that the caller can still answer UNSUPPORTED_VERSION. body points into frame.
func ParseRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	return ParseRequestHeaderAfter(frame, nil)
}

// ParseRequestHeaderAfter is ParseRequestHeader for a connection whose last request had the client id before: the same one again
// takes no memory.
func ParseRequestHeaderAfter(frame []byte, before *string) (h RequestHeader, body []byte, err error) {
	if len(frame) < 8 {
		return h, nil, errShortHeader
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	form, ok := messageForm(h.Key)
	if !ok || h.Version < 0 || h.Version > form.maxVersion {
		return h, nil, nil
	}
	h.known = true
	rest := frame[8:]
	if h.Key == keyControlledShutdown && h.Version == 0 {
		return h, rest, nil
	}
	if h.ClientID, rest, err = parseClientID(rest, before); err != nil {
		return h, nil, err
	}
	if h.Version >= form.flexibleRequest {
		if rest, err = skipHeaderTags(rest); err != nil {
			return h, nil, err
		}
	}
	return h, rest, nil
}

func parseClientID(p []byte, before *string) (*string, []byte, error) {
	if len(p) < 2 {
		return nil, nil, errShortHeader
	}
	n := int(int16(binary.BigEndian.Uint16(p)))
	p = p[2:]
	switch {
	case n == -1:
		return nil, p, nil
	case n < 0:
		return nil, nil, fmt.Errorf("client id of negative length %d", n)
	case n > len(p):
		return nil, nil, errShortHeader
	}
	if before != nil && *before == string(p[:n]) {
		return before, p[n:], nil
	}
	id := string(p[:n])
	return &id, p[n:], nil
}

// skipHeaderTags passes over the tagged fields of a header. Kafka has none to this day.
func skipHeaderTags(p []byte) ([]byte, error) {
	count, n := uvarint(p)
	if n <= 0 || count > uint64(len(p)-n)/2 {
		return nil, errShortHeader
	}
	p = p[n:]
	for ; count > 0; count-- {
		_, n := uvarint(p)
		if n <= 0 {
			return nil, errShortHeader
		}
		size, m := uvarint(p[n:])
		if m <= 0 || size > uint64(len(p)-n-m) {
			return nil, errShortHeader
		}
		p = p[n+m+int(size):]
	}
	return p, nil
}

// uvarint reads an unsigned varint of at most 32 bits, as Kafka's lengths and tags are. n is 0 or negative if p holds none.
func uvarint(p []byte) (v uint64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return uint64(p[0]), 1
	}
	v, n = binary.Uvarint(p)
	if n > 5 || v > 1<<32-1 {
		return 0, -1
	}
	return v, n
}

// AppendResponseHeader appends the header of a response: version 0 (correlation id), or 1 (with tagged fields) where
// the response is flexible. ApiVersions is always answered with version 0, since the client may not know yet what the
// broker speaks (KIP-511).
func AppendResponseHeader(dst []byte, key, version int16, correlation int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	if responseHeaderVersion(key, version) == 1 {
		dst = append(dst, 0)
	}
	return dst
}

func responseHeaderVersion(key, version int16) int {
	form, ok := messageForm(key)
	if !ok || key == keyApiVersions || version < form.flexibleResponse || version > form.maxVersion {
		return 0
	}
	return 1
}

// form is what a header must know of an API. The first flexible version is above maxVersion if there is none.
type form struct {
	known            bool
	maxVersion       int16
	flexibleRequest  int16
	flexibleResponse int16
}

func messageForm(key int16) (form, bool) {
	forms := messageForms()
	if key < 0 || int(key) >= len(forms) {
		return form{}, false
	}
	return forms[key], forms[key].known
}

// messageForms asks kmsg once about each key.
var messageForms = sync.OnceValue(func() []form {
	forms := make([]form, kmsg.MaxKey+1)
	for key := range forms {
		req := kmsg.RequestForKey(int16(key))
		if req == nil {
			continue
		}
		f := form{known: true, maxVersion: req.MaxVersion()}
		f.flexibleRequest, f.flexibleResponse = f.maxVersion+1, f.maxVersion+1
		res := req.ResponseKind()
		for v := f.maxVersion; v >= 0; v-- {
			if req.SetVersion(v); req.IsFlexible() {
				f.flexibleRequest = v
			}
			if res.SetVersion(v); res.IsFlexible() {
				f.flexibleResponse = v
			}
		}
		forms[key] = f
	}
	return forms
})
