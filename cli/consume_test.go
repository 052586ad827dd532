package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func sorted(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// numbered writes n lines, counted from 0, to one partition each a millisecond apart.
func numbered(t *testing.T, target Target, topic string, partition, n int) {
	t.Helper()
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, `{"value":"%d","partition":%d,"timestamp":%d}`+"\n", i, partition, 1000+i)
	}
	o := NewProduceOptions(topic)
	o.Input = InputJSON
	produce(t, target, o, in.String())
}

func TestConsumeBeginsWhereItIsTold(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 10)
	for start, want := range map[string]string{
		"earliest": "0 9", "beginning": "0 9", "latest": "", "end": "", "0": "0 9", "7": "7 9", "10": "",
		"-3": "7 9", "-100": "0 9", "-0": "", "@1004": "4 9", "@0": "0 9", "@5000": "",
	} {
		o := NewConsumeOptions("a")
		var err error
		if ts, ok := strings.CutPrefix(start, "@"); ok {
			o.Start, err = StartAtTime(ts, time.Now())
		} else {
			o.Start, err = ParseStart(start)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(consume(t, target, o))
		ends := ""
		if len(got) > 0 {
			ends = got[0] + " " + got[len(got)-1]
		}
		if ends != want {
			t.Errorf("from %s: got %v, want %s", start, got, want)
		}
	}
}

func TestConsumeReadsThePartitionsAskedFor(t *testing.T) {
	target := fake(t, kfake.SeedTopics(4, "a"))
	for p := range 4 {
		numbered(t, target, "a", p, 2)
	}
	for list, want := range map[string]string{"": "0 0 1 1 2 2 3 3", "1": "1 1", "0,2-3": "0 0 2 2 3 3", "3,3": "3 3"} {
		o := NewConsumeOptions("a")
		o.Template = `%p\n`
		var err error
		if o.Partitions, err = ParsePartitions([]string{list}); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(sorted(consume(t, target, o)), "\n", " "); got != want {
			t.Errorf("partitions %q: got %s, want %s", list, got, want)
		}
	}
}

func TestConsumeStopsAtTheCount(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 10)
	o := NewConsumeOptions("a")
	o.Count = 4
	var out bytes.Buffer
	s, err := Consume(t.Context(), target, o, &out)
	if err != nil || s.Records != 4 || out.String() != "0\n1\n2\n3\n" {
		t.Errorf("got %q, %+v, %v", out.String(), s, err)
	}
}

// writes calls a function with all that was written so far.
type writes struct {
	bytes.Buffer
	then func(string)
}

func (w *writes) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	w.then(w.String())
	return n, err
}

func TestConsumeWaitsForMoreUntilItIsInterrupted(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	more := make(chan struct{}, 1)
	out := &writes{then: func(s string) {
		if s == "0\n" {
			more <- struct{}{}
		} else if s == "0\nlate\n" {
			cancel()
		}
	}}
	ended := make(chan error, 1)
	go func() {
		_, err := Consume(ctx, target, NewConsumeOptions("a"), out)
		ended <- err
	}()
	<-more
	produce(t, target, NewProduceOptions("a"), "late\n")
	if err := <-ended; err != nil {
		t.Errorf("an interrupt is no error: %v", err)
	}
}

func TestConsumeNamesWhatIsWrong(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 3)
	_, err := Consume(t.Context(), target, NewConsumeOptions("nope"), &bytes.Buffer{})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.HasPrefix(Explain(err), "consume nope: UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("unknown topic: %v", err)
	}
	o := NewConsumeOptions("a")
	o.Partitions = []int32{4}
	if _, err := Consume(t.Context(), target, o, &bytes.Buffer{}); err == nil || err.Error() != "topic a has no partition 4" {
		t.Errorf("unknown partition: %v", err)
	}
	o = NewConsumeOptions("a")
	o.Start, _ = ParseStart("9")
	if _, err := Consume(t.Context(), target, o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "offset 9 is not between its start 0 and its end 3") {
		t.Errorf("offset out of range: %v", err)
	}
	o = NewConsumeOptions("a")
	o.Template = "%y"
	if _, err := Consume(t.Context(), Target{}, o, &bytes.Buffer{}); !isUsage(err) {
		t.Errorf("unknown token: %v", err)
	}
}

func TestOffsetsPartitionsAndTimesOutOfShapeAreUsageErrors(t *testing.T) {
	for _, s := range []string{"", "first", "1.5", "--3", "99999999999999999999"} {
		if _, err := ParseStart(s); !isUsage(err) {
			t.Errorf("offset %q: got %v", s, err)
		}
	}
	for _, s := range []string{"x", "-1", "3-1", "1-", "0-99999999", "1.5"} {
		if _, err := ParsePartitions([]string{s}); !isUsage(err) {
			t.Errorf("partition %q: got %v", s, err)
		}
	}
	for _, s := range []string{"", "yesterday", "-5", "-5m"} {
		if _, err := StartAtTime(s, time.Now()); !isUsage(err) {
			t.Errorf("time %q: got %v", s, err)
		}
	}
}

func TestTimesAreReadInEveryNotation(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for s, want := range map[string]int64{
		"1700000000000":               1_700_000_000_000,
		"2023-11-14T22:13:20Z":        1_700_000_000_000,
		"2023-11-14T23:13:20.5+01:00": 1_700_000_000_500,
		"15m":                         1_700_000_000_000 - 15*60_000,
		"1h30m":                       1_700_000_000_000 - 90*60_000,
		now.Local().Format("2006-01-02T15:04:05"): 1_700_000_000_000,
	} {
		if got, err := parseTime(s, now); err != nil || got.UnixMilli() != want {
			t.Errorf("%s: got %d, %v, want %d", s, got.UnixMilli(), err, want)
		}
	}
}

func TestFormatsPrintWhatTheySay(t *testing.T) {
	r := &kgo.Record{
		Topic: "t", Partition: 3, Offset: 42, LeaderEpoch: 7, Timestamp: time.UnixMilli(1234), Key: []byte("k"), Value: []byte("va\xff"),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}},
	}
	null := &kgo.Record{}
	for _, c := range []struct {
		format string
		r      *kgo.Record
		want   string
	}{
		{`%t/%p/%o`, r, "t/3/42"},
		{`%k=%s\n`, r, "k=va\xff\n"},
		{`%K %S`, r, "1 3"},
		{`%K %S`, null, "-1 -1"},
		{`%T %e`, r, "1234 7"},
		{`%h`, r, "a=1,b=NULL"},
		{`%h`, null, ""},
		{`%R%s`, r, "\x00\x00\x00\x03va\xff"},
		{`%R`, null, "\xff\xff\xff\xff"},
		{`100%%\t\x41\\\0`, r, "100%\tA\\\x00"},
		{``, r, ""},
		{`ä%s`, null, "ä"},
	} {
		f, err := ParseRecordFormat(c.format, String, String)
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		if got := string(f.Append(nil, c.r)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.format, got, c.want)
		}
	}
	f, _ := ParseRecordFormat(`%k %s`, Hex, Base64)
	if got := string(f.Append(nil, r)); got != "6b dmH/" {
		t.Errorf("encodings: got %q", got)
	}
	for _, bad := range []string{"%", "%y", `\`, `\q`, `\x4`, `\xzz`, "a%"} {
		if _, err := ParseRecordFormat(bad, String, String); !isUsage(err) {
			t.Errorf("%q: got %v, want a usage error", bad, err)
		}
	}
}

func FuzzFormatNeverPanics(f *testing.F) {
	f.Add(`%t \x41 %%`)
	f.Add(`\`)
	r := &kgo.Record{Key: []byte("k")}
	f.Fuzz(func(_ *testing.T, s string) {
		if p, err := ParseRecordFormat(s, String, String); err == nil {
			p.Append(nil, r)
		}
	})
}

func TestStreamsPrintInEveryFormat(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	in := NewProduceOptions("a")
	in.Input = InputJSON
	produce(t, target, in, `{"key":"1","value":"x: y","timestamp":1000}{"value":"<&>","timestamp":1001}`)
	for f, want := range map[Format]string{
		Table: "PARTITION\tOFFSET\tTIMESTAMP\tKEY\tVALUE\n0\t0\t1000\t1\tx: y\n0\t1\t1001\t\t<&>\n",
		YAML:  "key: \"1\"\nvalue: 'x: y'\n---\ntopic: a\npartition: 0\noffset: 1\n",
		JSON:  `"timestamp":1001,"timestampType":"CreateTime","key":null,"value":"<&>"}` + "\n",
	} {
		o := NewConsumeOptions("a")
		o.Output = f
		if got := consume(t, target, o); !strings.Contains(got, want) {
			t.Errorf("%s: got\n%s\nwithout\n%s", f, got, want)
		}
	}
	if _, err := ParseFormat("xml", Table, JSON); !isUsage(err) {
		t.Errorf("unknown format: %v", err)
	}
}
