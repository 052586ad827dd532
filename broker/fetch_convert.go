package broker

import (
	"fmt"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// withoutZstd cuts the spans before the first batch in zstd, for fetchers before version 10. If nothing is left it is
// UNSUPPORTED_COMPRESSION_TYPE, as the fetcher can't go on.
func withoutZstd(spans []env.Span) ([]env.Span, int, error) {
	kept := 0
	for i, span := range spans {
		n, err := beforeZstd(span)
		if err != nil {
			return nil, 0, err
		}
		kept += n
		if n == span.Len {
			continue
		}
		if kept == 0 {
			return nil, 0, kafkaproto.ErrUnsupportedCompressionType.With("records in zstd need Fetch version 10")
		}
		out := append([]env.Span(nil), spans[:i+1]...)
		if out[i].Len = n; n == 0 {
			out = out[:i]
		}
		return out, kept, nil
	}
	return spans, kept, nil
}

// beforeZstd counts the bytes of whole batches that come before the first one in zstd. It reads batch headers only.
func beforeZstd(span env.Span) (int, error) {
	var header [kafkaproto.BatchHeaderLen]byte
	at := 0
	for at < span.Len {
		if n, err := span.File.ReadAt(header[:], span.Pos+int64(at)); n < len(header) {
			return 0, kafkaproto.ErrKafkaStorageError.With("cannot read %s: %w", span.File.Name(), err)
		}
		b := kafkaproto.Batch(header[:])
		if b.Codec() == kafkaproto.CodecZstd {
			break
		}
		size := int(b.Length()) + 12
		if size <= 0 || size > span.Len-at {
			return 0, kafkaproto.ErrKafkaStorageError.With("%s has no batch at %d", span.File.Name(), span.Pos+int64(at))
		}
		at += size
	}
	return at, nil
}

// downConvert reads n bytes of spans and turns them into a message set of the fetcher's time.
func downConvert(spans []env.Span, n int, version int16) ([]byte, error) {
	buf := getBuffer(n)
	defer putBuffer(buf)
	at := 0
	for _, span := range spans {
		if m, err := span.File.ReadAt(buf[at:at+span.Len], span.Pos); m < span.Len {
			return nil, kafkaproto.ErrKafkaStorageError.With("cannot read %s: %w", span.File.Name(), err)
		}
		at += span.Len
	}
	magic := int8(0)
	if version >= 2 {
		magic = 1
	}
	set, err := kafkaproto.DownConvert(buf[:at], magic)
	if err != nil {
		return nil, fmt.Errorf("cannot convert to magic %d: %w", magic, err)
	}
	return set, nil
}
