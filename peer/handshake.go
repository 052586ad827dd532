package peer

import (
	"encoding/binary"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// versionRange is what a node serves of an API.
type versionRange struct{ lowest, highest int16 }

// The version of ApiVersions that is asked first, and the largest answer that is believed.
const (
	handshakeVersion  = 3
	maxHandshakeBytes = 64 << 10
)

// handshake asks what the node serves. A node that does not know the version of the question answers in version 0 and
// says so (KIP-511).
func (p *Pool) handshake(nc net.Conn) (map[int16]versionRange, error) {
	for version := int16(handshakeVersion); ; version = 0 {
		res, err := p.askVersions(nc, version)
		if err != nil {
			return nil, err
		}
		switch {
		case res.ErrorCode == 0:
			return rangesOf(res), nil
		case res.ErrorCode == kafkaproto.ErrUnsupportedVersion.Num && version > 0:
		default:
			return nil, because(ErrProtocol, kafkaproto.ErrorForCode(res.ErrorCode))
		}
	}
}

func rangesOf(res *kmsg.ApiVersionsResponse) map[int16]versionRange {
	out := make(map[int16]versionRange, len(res.ApiKeys))
	for _, k := range res.ApiKeys {
		out[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
	}
	return out
}

func (p *Pool) askVersions(nc net.Conn, version int16) (*kmsg.ApiVersionsResponse, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(version)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "streambus", "peer"
	if _, err := nc.Write(p.formatter.AppendRequest(nil, req, int32(version))); err != nil {
		return nil, err
	}
	frame, err := readFrame(nc, maxHandshakeBytes)
	if err != nil {
		return nil, err
	}
	defer frame.Release()
	if frame.correlation() != int32(version) || !frame.open(false) {
		return nil, ErrProtocol
	}
	res := kmsg.NewPtrApiVersionsResponse()
	body := frame.Body()
	if len(body) >= 2 && int16(binary.BigEndian.Uint16(body)) != 0 {
		version = 0
	}
	res.SetVersion(version)
	if err := res.ReadFrom(body); err != nil {
		return nil, because(ErrProtocol, err)
	}
	return res, nil
}

// choose sets the newest version of a request that both sides know. A raw request has only one.
func (c *conn) choose(req kmsg.Request) bool {
	serves, ok := c.versions[req.Key()]
	if !ok {
		return false
	}
	if r, raw := req.(*rawRequest); raw {
		return serves.lowest <= r.GetVersion() && r.GetVersion() <= serves.highest
	}
	version := min(serves.highest, req.MaxVersion())
	if version < serves.lowest || version < 0 {
		return false
	}
	req.SetVersion(version)
	return true
}

// rawRequest is a request whose body is encoded already.
type rawRequest struct {
	kmsg.Request
	body []byte
}

// newRawRequest is nil for a key or version that kmsg, and so the form of its headers, does not know.
func newRawRequest(key, version int16, body []byte) *rawRequest {
	req := kmsg.RequestForKey(key)
	if req == nil || version < 0 || version > req.MaxVersion() {
		return nil
	}
	req.SetVersion(version)
	return &rawRequest{Request: req, body: body}
}

// AppendTo appends the body.
func (r *rawRequest) AppendTo(dst []byte) []byte { return append(dst, r.body...) }

// taggedHeader says whether the answer's header has tagged fields (version 1 of it). ApiVersions never has (KIP-511).
func taggedHeader(req kmsg.Request) bool {
	if req.Key() == int16(kmsg.ApiVersions) {
		return false
	}
	res := req.ResponseKind()
	res.SetVersion(req.GetVersion())
	return res.IsFlexible()
}
