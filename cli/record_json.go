package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonRecord is a record as consume -o json writes it and produce --format json reads it. Bytes that are not UTF-8
// are written as base64 and marked so; what is written can always be read back as the same bytes.
type jsonRecord struct {
	Topic         string        `json:"topic,omitempty"` // read only if produce was given no topic
	Partition     *int32        `json:"partition,omitempty"`
	Offset        *int64        `json:"offset,omitempty"`        // ignored when read
	LeaderEpoch   *int32        `json:"leaderEpoch,omitempty"`   // ignored when read
	Timestamp     jsonTime      `json:"timestamp,omitzero"`      // read as milliseconds or RFC 3339, written as milliseconds
	TimestampType string        `json:"timestampType,omitempty"` // ignored when read
	Key           *string       `json:"key"`
	KeyEncoding   Encoding      `json:"keyEncoding,omitempty"`
	Value         *string       `json:"value"`
	ValueEncoding Encoding      `json:"valueEncoding,omitempty"`
	Headers       []*jsonHeader `json:"headers,omitempty"`
}

type jsonHeader struct {
	Key      string   `json:"key"`
	Value    *string  `json:"value"`
	Encoding Encoding `json:"encoding,omitempty"`
}

// Encoding is how bytes stand in text.
type Encoding string

// String is the bytes as they are.
const (
	String Encoding = "string"
	Base64 Encoding = "base64"
	Hex    Encoding = "hex"
)

// Encodings lists all.
var Encodings = []string{string(String), string(Base64), string(Hex)}

// ParseEncoding checks a flag's value; the error is a UsageError.
func ParseEncoding(s string) (Encoding, error) {
	switch e := Encoding(s); e {
	case String, Base64, Hex:
		return e, nil
	}
	return "", unknownName("encoding", s, Encodings)
}

// encode appends b as e says.
func (e Encoding) encode(dst, b []byte) []byte {
	switch e {
	case Base64:
		return base64.StdEncoding.AppendEncode(dst, b)
	case Hex:
		return hex.AppendEncode(dst, b)
	}
	return append(dst, b...)
}

func (e Encoding) decode(s *string) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	var b []byte
	var err error
	switch e {
	case "", String:
		b = []byte(*s)
	case Base64:
		b, err = base64.StdEncoding.DecodeString(*s)
	case Hex:
		b, err = hex.DecodeString(*s)
	default:
		return nil, fmt.Errorf("unknown encoding %q", e)
	}
	if b == nil && err == nil {
		b = []byte{}
	}
	return b, err
}

// text gives b for a JSON string, and the encoding to name beside it: none for plain text.
func (e Encoding) text(b []byte) (*string, Encoding) {
	if b == nil {
		return nil, ""
	}
	if e == String || e == "" {
		if utf8.Valid(b) {
			s := string(b)
			return &s, ""
		}
		e = Base64
	}
	s := string(e.encode(nil, b))
	return &s, e
}

func newJSONRecord(r *kgo.Record, key, value Encoding) *jsonRecord {
	j := &jsonRecord{
		Topic: r.Topic, Partition: &r.Partition, Offset: &r.Offset,
		Timestamp: jsonTime{r.Timestamp}, TimestampType: "CreateTime",
	}
	if r.LeaderEpoch >= 0 {
		j.LeaderEpoch = &r.LeaderEpoch
	}
	if r.Attrs.TimestampType() == 1 {
		j.TimestampType = "LogAppendTime"
	}
	j.Key, j.KeyEncoding = key.text(r.Key)
	j.Value, j.ValueEncoding = value.text(r.Value)
	for _, h := range r.Headers {
		jh := &jsonHeader{Key: h.Key}
		jh.Value, jh.Encoding = String.text(h.Value)
		j.Headers = append(j.Headers, jh)
	}
	return j
}

// record fills r, which carries what is true of all records of the input, with what j says.
func (j *jsonRecord) record(r *kgo.Record) (*kgo.Record, error) {
	if r.Topic == "" {
		r.Topic = j.Topic
	}
	if r.Topic == "" {
		return nil, errors.New("no topic: neither on the command line nor in the record")
	}
	if j.Partition != nil && *j.Partition >= 0 {
		r.Partition = *j.Partition
	}
	r.Timestamp = j.Timestamp.Time
	if j.Key != nil {
		key, err := j.KeyEncoding.decode(j.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		r.Key = key
	}
	value, err := j.ValueEncoding.decode(j.Value)
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	r.Value = value
	// A copy: the slice of the flags' headers is shared by all records.
	headers := append([]kgo.RecordHeader(nil), r.Headers...)
	for _, h := range j.Headers {
		value, err := h.Encoding.decode(h.Value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Key, err)
		}
		headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: value})
	}
	r.Headers = headers
	return r, nil
}

// jsonTime is in milliseconds since 1970; RFC 3339 is understood as well.
type jsonTime struct{ time.Time }

func (t jsonTime) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UnixMilli())
}

func (t *jsonTime) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	parsed, err := parseTime(strings.Trim(string(b), `"`), time.Time{})
	t.Time = parsed
	return err
}
