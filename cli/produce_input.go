package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
)

// InputFormat is how produce reads records.
type InputFormat string

// A record a line, or a JSON object a record (as consume -o json writes them).
const (
	InputLine InputFormat = "line"
	InputJSON InputFormat = "json"
)

// InputFormats lists both.
var InputFormats = []string{string(InputLine), string(InputJSON)}

// recordReader turns input into records, one at a time, so that input of any size needs little memory. It is used by
// one goroutine.
type recordReader struct {
	o       ProduceOptions
	headers []kgo.RecordHeader
	in      *bufio.Reader
	dec     *json.Decoder // nil for lines
	count   int           // of records or lines read, for errors
}

func newRecordReader(in io.Reader, o ProduceOptions) (*recordReader, error) {
	pairs, err := parsePairs("header", o.Headers)
	if err != nil {
		return nil, err
	}
	r := &recordReader{o: o, in: bufio.NewReaderSize(in, 64<<10)}
	for _, p := range pairs {
		r.headers = append(r.headers, kgo.RecordHeader{Key: p[0], Value: []byte(p[1])})
	}
	switch o.Input {
	case InputLine, "":
	case InputJSON:
		r.dec = json.NewDecoder(r.in)
		r.dec.DisallowUnknownFields()
	default:
		return nil, unknownName("input format", string(o.Input), InputFormats)
	}
	return r, nil
}

// next returns the next record, or io.EOF.
func (r *recordReader) next() (*kgo.Record, error) {
	r.count++
	if r.dec != nil {
		return r.nextJSON()
	}
	return r.nextLine()
}

func (r *recordReader) nextLine() (*kgo.Record, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	rec := r.record()
	rec.Value = line
	if r.o.KeySeparator != "" {
		// A line without the separator is a value without a key, as in kcat.
		if key, value, ok := bytes.Cut(line, []byte(r.o.KeySeparator)); ok {
			rec.Key, rec.Value = key, value
		}
	}
	if r.o.EmptyAsNull {
		rec.Key, rec.Value = nullIfEmpty(rec.Key), nullIfEmpty(rec.Value)
	}
	return rec, nil
}

func nullIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// line returns a copy of the next line without its end; the last line needs none.
func (r *recordReader) line() ([]byte, error) {
	line := []byte{} // never nil: an empty line is an empty value, not a null
	for {
		part, err := r.in.ReadSlice('\n')
		if len(line)+len(part) > r.o.MaxLine+1 && r.o.MaxLine > 0 {
			return nil, fmt.Errorf("line %d is longer than %d bytes", r.count, r.o.MaxLine)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil // a '\r' before it is data: what comes out is what went in
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

func (r *recordReader) nextJSON() (*kgo.Record, error) {
	var j jsonRecord
	if err := r.dec.Decode(&j); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("record %d of the input: %w", r.count, err)
	}
	rec, err := j.record(r.record())
	if err != nil {
		return nil, fmt.Errorf("record %d of the input: %w", r.count, err)
	}
	return rec, nil
}

// record is one with what the flags say about all.
func (r *recordReader) record() *kgo.Record {
	rec := &kgo.Record{Topic: r.o.Topic, Partition: r.o.Partition, Headers: r.headers}
	if r.o.HasKey {
		rec.Key = []byte(r.o.Key)
	}
	return rec
}
