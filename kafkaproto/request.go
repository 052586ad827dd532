package kafkaproto

import "github.com/twmb/franz-go/pkg/kmsg"

// DecodeRequest decodes a request's body. Byte fields (a Produce's Records) point into body; strings are copies.
func DecodeRequest(key, version int16, body []byte) (kmsg.Request, error) {
	req := kmsg.RequestForKey(key)
	if req == nil || version < 0 || version > req.MaxVersion() {
		return nil, ErrUnsupportedVersion
	}
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return nil, ErrInvalidRequest.With("%w", err)
	}
	return req, nil
}
