package compat

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// servedVersions are the keys and versions that the broker says it serves.
func servedVersions(t testing.TB, b *broker) []kmsg.ApiVersionsResponseApiKey {
	t.Helper()
	w := openWire(t, b.addr)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	req.ClientSoftwareName, req.ClientSoftwareVersion = "compat", "1"
	resp := w.must(t, req).(*kmsg.ApiVersionsResponse)
	if resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
		t.Fatalf("ApiVersions: code %d with %d keys", resp.ErrorCode, len(resp.ApiKeys))
	}
	return resp.ApiKeys
}

// seedFrames are well-formed frames (length first) of every key and version the broker serves, about topic.
func seedFrames(t testing.TB, b *broker, topic string) [][]byte {
	t.Helper()
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("mutant"))
	var frames [][]byte
	for _, k := range servedVersions(t, b) {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			req := kmsg.RequestForKey(k.ApiKey)
			if req == nil || v > req.MaxVersion() {
				continue
			}
			req.SetVersion(v)
			fill(reflect.ValueOf(req).Elem(), topic)
			frames = append(frames, format.AppendRequest(nil, req, int32(len(frames))))
		}
	}
	return frames
}

// fill gives a request something in every field: one element per array, the topic for every string, a record batch for
// records, small numbers.
func fill(v reflect.Value, topic string) {
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() || v.Type().Field(i).Name == "Version" || v.Type().Field(i).Name == "UnknownTags" {
			continue
		}
		fillField(f, topic)
	}
}

func fillField(f reflect.Value, topic string) {
	switch f.Kind() {
	case reflect.String:
		f.SetString(topic)
	case reflect.Struct:
		fill(f, topic)
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
		fillField(f.Elem(), topic)
	case reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int8:
		f.SetInt(1)
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			f.SetBytes(recordBatch([]byte("a"), []byte("b")))
			return
		}
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		fillField(f.Index(0), topic)
	}
}

// mutate changes a copy of a frame in one to four places; the length in front mostly stays true to what follows, so that
// the mutant gets past it.
func mutate(r *rand.Rand, frame []byte) []byte {
	body := append([]byte{}, frame[4:]...)
	for range 1 + r.IntN(4) {
		body = mutateOnce(r, body)
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if r.IntN(20) == 0 {
		binary.BigEndian.PutUint32(out, r.Uint32())
	}
	return append(out, body...)
}

func mutateOnce(r *rand.Rand, body []byte) []byte {
	if len(body) < 8 {
		return append(body, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()),
			byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
	}
	at := r.IntN(len(body))
	extremes := []uint32{0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 1_000_000, 0x00ffffff, 0}
	switch r.IntN(8) {
	case 0:
		body[at] ^= 1 << r.IntN(8)
	case 1:
		body[at] = byte(r.Uint32())
	case 2: // a length or count somewhere
		binary.BigEndian.PutUint32(body[min(at, len(body)-4):], extremes[r.IntN(len(extremes))])
	case 3: // a compact length
		copy(body[at:], binary.AppendUvarint(nil, uint64(extremes[r.IntN(len(extremes))])))
	case 4:
		body = body[:at]
	case 5: // a piece again
		to := at + r.IntN(len(body)-at)
		body = append(append(append([]byte{}, body[:to]...), body[at:to]...), body[to:]...)
	case 6: // a piece less
		to := at + r.IntN(len(body)-at)
		body = append(append([]byte{}, body[:at]...), body[to:]...)
	case 7: // another key or version
		binary.BigEndian.PutUint16(body[2*r.IntN(2):], uint16(r.IntN(100))-2)
	}
	if len(body) > 1<<20 {
		body = body[:1<<20]
	}
	return body
}
