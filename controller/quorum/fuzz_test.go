package quorum

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// FuzzHello: whatever a stranger sends, it is read within bounds or refused, and what is read writes back the same.
func FuzzHello(f *testing.F) {
	var b bytes.Buffer
	if err := (hello{Purpose: 1, ClusterID: "c", NodeID: 3, Wanted: "3.x", Refusal: "no", Member: true}).write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHello(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := h.write(&out); err != nil {
			t.Fatal(err)
		}
		if again, err := readHello(&out); err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

// FuzzDecodeLog: no value makes it panic, and what it reads it writes back the same way.
func FuzzDecodeLog(f *testing.F) {
	f.Add(encodeLog(nil, &raft.Log{Type: raft.LogCommand, Term: 300, Data: []byte("data"), Extensions: []byte("x"), AppendedAt: time.Unix(1, 2)}))
	f.Add(encodeLog(nil, &raft.Log{Type: raft.LogConfiguration}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l, again raft.Log
		if decodeLog(data, 7, &l) != nil {
			return
		}
		if err := decodeLog(encodeLog(nil, &l), 7, &again); err != nil || !reflect.DeepEqual(l, again) {
			t.Fatalf("%+v came back as %+v, %v", l, again, err)
		}
	})
}

// FuzzFrame: whatever another node sends, it is read within bounds or refused, and what is read writes back the same.
func FuzzFrame(f *testing.F) {
	f.Add(frame{7, askCommand, []byte("body")}.bytes())
	f.Add([]byte("\x00\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := readFrame(bytes.NewReader(data))
		if err == nil && !bytes.HasPrefix(data, in.bytes()) {
			t.Fatalf("%+v", in)
		}
	})
}
