package kafkaproto

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DecodeRequest decodes the body of a request. Byte fields (a Produce's records) point into body; strings are copies.
// Errors wrap ErrUnsupportedVersion for a key or version that is not known and ErrInvalidRequest for a body that is
// malformed. kmsg alone would believe an array's length before it has seen its elements; the layout that checkLayout
// walks makes that an error before anything is allocated. Bytes left over behind the body are ignored, as Kafka does: a
// client that sends some has never noticed.
func DecodeRequest(key, version int16, body []byte) (kmsg.Request, error) {
	req := kmsg.RequestForKey(key)
	if req == nil || version < 0 || version > req.MaxVersion() {
		return nil, ErrUnsupportedVersion.With("API key %d has no version %d", key, version)
	}
	if err := checkLayout(key, version, body); err != nil {
		return nil, err
	}
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return nil, ErrInvalidRequest.With("API key %d version %d: %w", key, version, err)
	}
	return req, nil
}
