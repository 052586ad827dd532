package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFrameSizeIsCheckedBeforeItIsBelieved(t *testing.T) {
	for _, c := range []struct {
		in   string
		size int
		bad  bool
	}{
		{"\x00\x00\x00\x05", 5, false},
		{"\x00\x00\x00\x00", 0, false},
		{"\x00\x00\x00\x64", 100, false},
		{"\x00\x00\x00\x65", 0, true},
		{"\x7f\xff\xff\xff", 0, true},
		{"\xff\xff\xff\xff", 0, true},
		{"GET ", 0, true},
	} {
		size, err := ReadFrameSize(strings.NewReader(c.in), 100)
		var fe *FrameSizeError
		if size != c.size || errors.As(err, &fe) != c.bad {
			t.Errorf("%q: %d, %v", c.in, size, err)
		}
	}
	if _, err := ReadFrameSize(strings.NewReader(""), 100); err != io.EOF {
		t.Error(err)
	}
	if _, err := ReadFrameSize(strings.NewReader("\x00\x00"), 100); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

func TestHeadersOfEveryRequest(t *testing.T) {
	everyRequest(func(key, version int16) {
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 77)[4:]
		h, body, err := ParseRequestHeader(frame)
		if err != nil || !h.Known() || h.Key != key || h.Version != version || h.CorrelationID != 77 {
			t.Fatalf("%s v%d: %+v, %v", kmsg.NameForKey(key), version, h, err)
		}
		if h.ClientID == nil && !(key == 7 && version == 0) {
			t.Errorf("%s v%d: no client id", kmsg.NameForKey(key), version)
		}
		// kmsg leaves the body of ControlledShutdown v0 out.
		if want := req.AppendTo(nil); !(key == 7 && version == 0) && !bytes.Equal(body, want) {
			t.Errorf("%s v%d: body %x, want %x", kmsg.NameForKey(key), version, body, want)
		}
		res := req.ResponseKind()
		want := 4
		if res.IsFlexible() && key != 18 {
			want = 5
		}
		if got := AppendResponseHeader(nil, key, version, 77); len(got) != want || got[3] != 77 {
			t.Errorf("%s v%d: response header %x", kmsg.NameForKey(key), version, got)
		}
	})
}

func header(key, version int16, rest ...byte) []byte {
	p := binary.BigEndian.AppendUint16(nil, uint16(key))
	p = binary.BigEndian.AppendUint16(p, uint16(version))
	return append(binary.BigEndian.AppendUint32(p, 5), rest...)
}

func TestUnknownKeysAndVersionsStillHaveACorrelation(t *testing.T) {
	for _, frame := range [][]byte{header(18, 99, 1, 2), header(18, -1), header(1000, 0), header(-3, 0), header(0, 100)} {
		h, body, err := ParseRequestHeader(frame)
		if err != nil || h.Known() || body != nil || h.CorrelationID != 5 {
			t.Errorf("%x: %+v, %v", frame, h, err)
		}
	}
	if got := AppendResponseHeader(nil, 18, 99, 5); len(got) != 4 {
		t.Errorf("answer to an unknown version has header %x", got)
	}
}

func TestMalformedHeadersAreErrors(t *testing.T) {
	for name, frame := range map[string][]byte{
		"empty":               nil,
		"cut in the id":       header(3, 0)[:7],
		"no client id":        header(3, 0),
		"client id cut short": header(3, 0, 0, 5, 'a'),
		"negative client id":  header(3, 0, 0xff, 0xfe),
		"no tags":             header(3, 12, 0xff, 0xff),
		"many tags":           header(3, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"tag cut short":       header(3, 12, 0xff, 0xff, 1, 0, 9, 1),
		"endless varint":      header(3, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		if _, _, err := ParseRequestHeader(frame); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	h, body, err := ParseRequestHeader(header(3, 12, 0xff, 0xff, 1, 0, 1, 42, 'b'))
	if err != nil || h.ClientID != nil || string(body) != "b" {
		t.Errorf("an unknown tag is not skipped: %q, %v", body, err)
	}
}

func TestTopicIDsPrintAsKafkaPrintsThem(t *testing.T) {
	id := TopicID{0x35, 0x7a, 0xfb, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	s := id.String()
	if len(s) != 22 {
		t.Error(s)
	}
	if got, err := ParseTopicID(s); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x", s[:21], s + "A", s[:21] + "!", s[:21] + "_"} {
		if _, err := ParseTopicID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
	if got := (TopicPartition{id, 7}).String(); got != s+"-7" {
		t.Error(got)
	}
}
