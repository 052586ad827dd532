package compat

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
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

// changeTheCluster are keys that do to everybody what they are asked to, and so are no seeds.
var changeTheCluster = map[int16]bool{33: true, 34: true, 43: true, 44: true, 45: true, 49: true, 57: true, 64: true, 80: true, 81: true}

// seedFrames are well-formed frames (length first) of every key and version the broker serves, about topic, and what
// stock clients sent to Apache Kafka, of the same keys.
func seedFrames(t testing.TB, b *broker, topic string) [][]byte {
	t.Helper()
	served := map[int16]bool{}
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("mutant"))
	var frames [][]byte
	for _, k := range servedVersions(t, b) {
		if changeTheCluster[k.ApiKey] {
			continue
		}
		served[k.ApiKey] = true
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
	captured := capturedFrames(t, served)
	t.Logf("%d frames made, %d captured", len(frames), len(captured))
	return append(frames, captured...)
}

// capturedFrames are the requests in the frames that the protocol package keeps: "> key version base64", without length.
func capturedFrames(t testing.TB, served map[int16]bool) [][]byte {
	t.Helper()
	text, err := os.ReadFile("../kafkaproto/testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[0] != ">" {
			continue
		}
		frame, err := base64.StdEncoding.DecodeString(fields[3])
		if err != nil || len(frame) < 8 {
			t.Fatalf("captured frame %.60q: %v", line, err)
		}
		if served[int16(binary.BigEndian.Uint16(frame))] {
			frames = append(frames, append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
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
	case 7: // another version, or another key
		field := 2 * r.IntN(2)
		n := int16(r.IntN(100) - 2)
		if field == 2 || !changeTheCluster[n] {
			binary.BigEndian.PutUint16(body[field:], uint16(n))
		}
	}
	if len(body) > 1<<20 {
		body = body[:1<<20]
	}
	return body
}
