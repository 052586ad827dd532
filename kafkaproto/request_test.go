package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomRequest fills every field that kmsg has. Fields that a version lacks are not encoded.
func randomRequest(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	randomFill(r, reflect.ValueOf(req).Elem(), 0)
	req.SetVersion(version)
	return req
}

func randomFill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64() >> (64 - v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(r.Float64() * math.MaxInt32)
	case reflect.String:
		v.SetString(randomString(r, 5) + randomString(r, 1+r.IntN(2)*200))
	case reflect.Array:
		for i := range v.Len() {
			randomFill(r, v.Index(i), depth)
		}
	case reflect.Slice:
		n := r.IntN(4)
		if r.IntN(3) == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomFill(r, v.Index(i), depth+1)
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomFill(r, v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() == tagsType {
			if r.IntN(4) == 0 {
				v.Addr().Interface().(*kmsg.Tags).Set(10000, binary.BigEndian.AppendUint64(nil, r.Uint64()))
			}
			return
		}
		for i := range v.NumField() {
			randomFill(r, v.Field(i), depth+1)
		}
	}
}

// everyRequest calls fn for each key and version that kmsg knows.
func everyRequest(fn func(key, version int16)) {
	for key := range int16(kmsg.MaxKey + 1) {
		if form, ok := messageForm(key); ok {
			for version := range form.maxVersion + 1 {
				fn(key, version)
			}
		}
	}
}

func TestEveryRequestOfKmsgPassesItsLayoutAndComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	everyRequest(func(key, version int16) {
		for range 20 {
			body := randomRequest(r, key, version).AppendTo(nil)
			req, err := DecodeRequest(key, version, body)
			if err != nil {
				t.Fatalf("%s v%d: %v\n%x", kmsg.NameForKey(key), version, err, body)
			}
			if again := req.AppendTo(nil); !bytes.Equal(again, body) {
				t.Fatalf("%s v%d comes back otherwise:\n%x\n%x", kmsg.NameForKey(key), version, body, again)
			}
			if _, err := DecodeRequest(key, version, append(body, 0)); err != nil {
				t.Fatalf("%s v%d: a byte left over is an error", kmsg.NameForKey(key), version)
			}
			for n := range min(len(body), 40) {
				if _, err := DecodeRequest(key, version, body[:len(body)-1-n]); err == nil {
					t.Fatalf("%s v%d: without its last %d bytes it is no error", kmsg.NameForKey(key), version, n+1)
				}
			}
		}
	})
}

func TestTaggedFieldOfFollowersIsKept(t *testing.T) {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 17
	p := kmsg.NewFetchRequestTopicPartition()
	p.UnknownTags.Set(10000, []byte{0, 0, 0, 0, 0, 0, 0, 42})
	fetch.Topics = []kmsg.FetchRequestTopic{{Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	req, err := DecodeRequest(1, 17, fetch.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	req.(*kmsg.FetchRequest).Topics[0].Partitions[0].UnknownTags.Each(func(tag uint32, value []byte) {
		found = tag == 10000 && binary.BigEndian.Uint64(value) == 42
	})
	if !found {
		t.Error("the tagged field is lost")
	}
}

func TestProducedRecordsPointIntoTheFrame(t *testing.T) {
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 9
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: []byte("records")}}}}
	body := produce.AppendTo(nil)
	req, err := DecodeRequest(0, 9, body)
	if err != nil {
		t.Fatal(err)
	}
	body[bytes.Index(body, []byte("records"))] = 'R'
	if got := req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records; string(got) != "Records" {
		t.Errorf("%q is a copy", got)
	}
}

// hostileBodies claim a lot with little, for the first array of a request and for those inside it.
func hostileBodies(size int) map[string][]byte {
	fill := func(p ...byte) []byte { return bytes.Repeat(p, size/len(p)) }
	million := func(prefix ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(prefix, uint32(size-100)), make([]byte, size)...)
	}
	compact := func(prefix ...byte) []byte {
		return append(binary.AppendUvarint(prefix, uint64(size-100)), make([]byte, size)...)
	}
	return map[string][]byte{
		"zeros":               fill(0),
		"ones":                fill(1),
		"twos":                fill(2),
		"ff":                  fill(0xff),
		"7f":                  fill(0x7f),
		"ff01":                fill(0xff, 0x01),
		"0000ffff":            fill(0, 0, 0xff, 0xff),
		"plain array":         million(),
		"compact array":       compact(),
		"produce v3 topics":   million(0xff, 0xff, 0, 0, 0, 0, 0, 0),
		"produce v9 topics":   compact(0, 0, 0, 0, 0, 0, 0),
		"fetch v4 topics":     million(fill(0)[:17]...),
		"fetch v12 topics":    compact(fill(0)[:21]...),
		"produce v9 of twos":  append(binary.AppendUvarint(make([]byte, 7), uint64(size/3)), bytes.Repeat([]byte{1, 1, 0}, size/3)...),
		"metadata v9 minimal": append(binary.AppendUvarint(nil, uint64(size/2)), bytes.Repeat([]byte{1, 0}, size/2)...),
		"four billion tags":   append([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f}, fill(0)...),
	}
}

func TestClaimsDontAllocate(t *testing.T) {
	const size = 1 << 20
	worst := 0.0
	for name, body := range hostileBodies(size) {
		everyRequest(func(key, version int16) {
			got := allocated(func() { DecodeRequest(key, version, body) })
			worst = max(worst, got/float64(len(body)))
			if got > 70*float64(len(body)) {
				t.Errorf("%s as %s v%d: %.0f bytes for a body of %d", name, kmsg.NameForKey(key), version, got, len(body))
			}
		})
	}
	t.Logf("at most %.1f times the body", worst)
}

// allocated is how many bytes f takes from the heap.
func allocated(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}

func BenchmarkDecodeProduce(b *testing.B) {
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 9
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "topic", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 1000)}}}}
	body := produce.AppendTo(nil)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRequest(0, 9, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("layout", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := checkLayout(0, 9, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
