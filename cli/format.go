package cli

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// RecordFormat is the compiled form of consume's --format: the language of kcat.
//
//	%s value  %S its length (-1: null)  %R its length as 4 bytes, big endian
//	%k key    %K its length (-1: null)
//	%t topic  %p partition  %o offset  %T timestamp in ms (-1: none)  %e leader epoch
//	%h headers as name=value,name=value   %% a percent sign
//	\n \r \t \\ \0 \xNN
type RecordFormat struct {
	parts     []formatPart
	key, data Encoding
}

type formatPart func(f *RecordFormat, dst []byte, r *kgo.Record) []byte

// ParseRecordFormat compiles s; key and value say how %k and %s are written. The error is a UsageError.
func ParseRecordFormat(s string, key, value Encoding) (*RecordFormat, error) {
	f := &RecordFormat{key: key, data: value}
	var text []byte
	flush := func() {
		if len(text) > 0 {
			f.parts = append(f.parts, literal(string(text)))
			text = nil
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+1 < len(s) && s[i+1] != '%':
			i++
			part := formatTokens[s[i]]
			if part == nil {
				return nil, usagef("format: unknown token %%%c (allowed: %%s %%S %%R %%k %%K %%t %%p %%o %%T %%e %%h %%%%)", s[i])
			}
			flush()
			f.parts = append(f.parts, part)
		case s[i] == '%':
			if i++; i == len(s) {
				return nil, usagef("format: ends with a single %%")
			}
			text = append(text, '%')
		case s[i] == '\\':
			b, n, err := escape(s[i:])
			if err != nil {
				return nil, err
			}
			text, i = append(text, b), i+n-1
		default:
			text = append(text, s[i])
		}
	}
	flush()
	return f, nil
}

// escape reads the escape that s starts with and says how long it is.
func escape(s string) (b byte, n int, err error) {
	if len(s) < 2 {
		return 0, 0, usagef(`format: ends with a single \`)
	}
	if i := strings.IndexByte(`nrt0\`, s[1]); i >= 0 {
		return "\n\r\t\x00\\"[i], 2, nil
	}
	if s[1] == 'x' && len(s) >= 4 {
		if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
			return byte(v), 4, nil
		}
	}
	return 0, 0, usagef(`format: unknown escape %q (allowed: \n \r \t \0 \\ \xNN)`, s[:2])
}

// Append writes r as the format says.
func (f *RecordFormat) Append(dst []byte, r *kgo.Record) []byte {
	for _, part := range f.parts {
		dst = part(f, dst, r)
	}
	return dst
}

func literal(s string) formatPart {
	return func(_ *RecordFormat, dst []byte, _ *kgo.Record) []byte { return append(dst, s...) }
}

func number(get func(*kgo.Record) int64) formatPart {
	return func(_ *RecordFormat, dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, get(r), 10) }
}

// length is -1 for null, so that a null can be told from an empty value.
func length(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

var formatTokens = map[byte]formatPart{
	's': func(f *RecordFormat, dst []byte, r *kgo.Record) []byte { return f.data.encode(dst, r.Value) },
	'k': func(f *RecordFormat, dst []byte, r *kgo.Record) []byte { return f.key.encode(dst, r.Key) },
	't': func(_ *RecordFormat, dst []byte, r *kgo.Record) []byte { return append(dst, r.Topic...) },
	'R': func(_ *RecordFormat, dst []byte, r *kgo.Record) []byte {
		return binary.BigEndian.AppendUint32(dst, uint32(int32(length(r.Value))))
	},
	'h': appendHeaders,
	'S': number(func(r *kgo.Record) int64 { return length(r.Value) }),
	'K': number(func(r *kgo.Record) int64 { return length(r.Key) }),
	'p': number(func(r *kgo.Record) int64 { return int64(r.Partition) }),
	'o': number(func(r *kgo.Record) int64 { return r.Offset }),
	'T': number(func(r *kgo.Record) int64 { return r.Timestamp.UnixMilli() }),
	'e': number(func(r *kgo.Record) int64 { return int64(r.LeaderEpoch) }),
}

func appendHeaders(_ *RecordFormat, dst []byte, r *kgo.Record) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, h.Key...), '=')
		if h.Value == nil {
			dst = append(dst, "NULL"...)
			continue
		}
		dst = append(dst, h.Value...)
	}
	return dst
}
