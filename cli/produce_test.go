package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// readAll runs input through a reader and prints each record.
func readAll(o ProduceOptions, input string) (string, error) {
	r, err := newRecordReader(strings.NewReader(input), o)
	if err != nil {
		return "", err
	}
	var out []string
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " "), nil
		}
		if err != nil {
			return strings.Join(out, " "), err
		}
		s := fmt.Sprintf("%s=%s", show(rec.Key), show(rec.Value))
		if rec.Partition != -1 {
			s += fmt.Sprintf("@%d", rec.Partition)
		}
		for _, h := range rec.Headers {
			s += fmt.Sprintf("+%s:%s", h.Key, show(h.Value))
		}
		out = append(out, s)
	}
}

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

func TestLinesAreReadAsRecords(t *testing.T) {
	for _, c := range []struct {
		name, input, want string
		o                 func(*ProduceOptions)
	}{
		{"lines", "a\nb\n", `null="a" null="b"`, nil},
		{"no newline at the end", "a\nb", `null="a" null="b"`, nil},
		{"empty lines are empty values", "\n\n", `null="" null=""`, nil},
		{"empty lines as nulls", "\na\n", `null=null null="a"`, func(o *ProduceOptions) { o.EmptyAsNull = true }},
		{"carriage returns are data", "a\r\n", `null="a\r"`, nil},
		{"key separator", "k=v=w\nnone\n=x\n", `"k"="v=w" null="none" ""="x"`, func(o *ProduceOptions) { o.KeySeparator = "=" }},
		{"long key separator", "k::v\n", `"k"="v"`, func(o *ProduceOptions) { o.KeySeparator = "::" }},
		{"null key and value", ":\nk:\n", `null=null "k"=null`, func(o *ProduceOptions) { o.KeySeparator, o.EmptyAsNull = ":", true }},
		{"key for all", "a\n", `"k"="a"`, func(o *ProduceOptions) { o.Key, o.HasKey = "k", true }},
		{"headers and partition", "a\n", `null="a"@2+x:"1=2"+y:""`, func(o *ProduceOptions) { o.Headers, o.Partition = []string{"x=1=2", "y="}, 2 }},
		{"empty input", "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewProduceOptions("t")
			if c.o != nil {
				c.o(&o)
			}
			if got, err := readAll(o, c.input); err != nil || got != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestALineThatIsTooLongIsAnError(t *testing.T) {
	o := NewProduceOptions("t")
	o.MaxLine = 10
	if got, err := readAll(o, "0123456789\n0123456789x\n"); err == nil || got != `null="0123456789"` || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %s, %v", got, err)
	}
	o.MaxLine = 100_000
	if _, err := readAll(o, strings.Repeat("x", 100_000)); err != nil {
		t.Error(err)
	}
}

func TestJSONIsReadAsRecords(t *testing.T) {
	for _, c := range []struct{ name, input, want, err string }{
		{"fields", `{"key":"k","value":"v","partition":1}`, `"k"="v"@1`, ""},
		{"nothing", `{}`, `null=null`, ""},
		{"null and empty", `{"key":null,"value":""}`, `null=""`, ""},
		{"base64 and hex", `{"key":"/wA=","keyEncoding":"base64","value":"ff00","valueEncoding":"hex"}`, `"\xff\x00"="\xff\x00"`, ""},
		{"headers", `{"headers":[{"key":"h","value":"x"},{"key":"h","value":null},{"key":"b","value":"/w==","encoding":"base64"}]}`, `null=null+h:"x"+h:null+b:"\xff"`, ""},
		{"what consume adds is ignored", `{"topic":"other","offset":7,"leaderEpoch":1,"timestamp":5,"timestampType":"CreateTime","key":null,"value":"v"}`, `null="v"`, ""},
		{"two on a line, lines between", "{\"value\":\"a\"} {\"value\":\"b\"}\n\n{\"value\":\"c\"}", `null="a" null="b" null="c"`, ""},
		{"unknown field", `{"valu":"v"}`, ``, `record 1 of the input: json: unknown field "valu"`},
		{"second is no JSON", `{"value":"a"} x`, `null="a"`, "record 2 of the input"},
		{"cut off", `{"value":`, ``, "record 1 of the input: unexpected EOF"},
		{"bad base64", `{"value":"*","valueEncoding":"base64"}`, ``, "value: illegal base64"},
		{"bad encoding", `{"value":"*","valueEncoding":"rot13"}`, ``, `unknown encoding "rot13"`},
		{"bad time", `{"timestamp":"yesterday"}`, ``, "yesterday"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewProduceOptions("t")
			o.Input = InputJSON
			got, err := readAll(o, c.input)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %s, %v, want %s, %s", got, err, c.want, c.err)
			}
		})
	}
}

func TestOptionsThatCannotBeMeantAreUsageErrors(t *testing.T) {
	for name, change := range map[string]func(*ProduceOptions){
		"compression": func(o *ProduceOptions) { o.Compression = "brotli" },
		"partitioner": func(o *ProduceOptions) { o.Partitioner = "best" },
		"acks":        func(o *ProduceOptions) { o.Acks = "2" },
		"idempotence": func(o *ProduceOptions) { o.Acks = "1" },
		"format":      func(o *ProduceOptions) { o.Input = "csv" },
		"header":      func(o *ProduceOptions) { o.Headers = []string{"x"} },
		"no topic":    func(o *ProduceOptions) { o.Topic = "" },
	} {
		o := NewProduceOptions("t")
		change(&o)
		if _, err := Produce(t.Context(), Target{}, o, strings.NewReader("")); !isUsage(err) {
			t.Errorf("%s: got %v, want a usage error", name, err)
		}
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	target := fake(t, kfake.SeedTopics(3, "a", "b"))
	in := NewProduceOptions("a")
	in.Input = InputJSON
	input := `{"key":"k","value":"v","partition":2,"timestamp":1700000000000,"headers":[{"key":"h","value":"x"}]}
{"key":null,"value":"/w==","valueEncoding":"base64","partition":0,"timestamp":"2023-11-14T22:13:20Z"}
{"key":"","value":null,"partition":1,"timestamp":1700000000000}`
	s := produce(t, target, in, input)
	if s.Records != 3 || len(s.Partitions) != 3 || s.Partitions[2].Last != 0 || s.Partitions[2].Records != 1 {
		t.Errorf("summary %+v", s)
	}
	read := NewConsumeOptions("a")
	read.Output = JSON
	first := consume(t, target, read)
	in.Topic = "b"
	produce(t, target, in, first)
	read.Topic = "b"
	second := consume(t, target, read)
	if want := strings.ReplaceAll(first, `"topic":"a"`, `"topic":"b"`); sorted(second) != sorted(want) {
		t.Errorf("copied\n%s\nis\n%s", want, second)
	}
	if !strings.Contains(first, `"valueEncoding":"base64"`) || strings.Count(first, "1700000000000") != 3 {
		t.Errorf("printed %s", first)
	}
}

func TestEveryCompressionAndPartitionerDelivers(t *testing.T) {
	target := fake(t, kfake.SeedTopics(3, "a"))
	want := int64(0)
	for _, codec := range Compressions {
		for _, p := range Partitioners {
			o := NewProduceOptions("a")
			o.Compression, o.Partitioner, o.KeySeparator = codec, p, ":"
			produce(t, target, o, "x:1\ny:2\n3\n")
			want += 3
		}
	}
	var out bytes.Buffer
	o := NewConsumeOptions("a")
	o.UntilEnd = true
	if s, err := Consume(t.Context(), target, o, &out); err != nil || s.Records != want {
		t.Errorf("read %d, %v, want %d", s.Records, err, want)
	}
}

func TestWeakerAcksDeliver(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	for _, acks := range []string{"1", "0"} {
		o := NewProduceOptions("a")
		o.Acks, o.Idempotence = acks, false
		if s := produce(t, target, o, "x\n"); s.Records != 1 {
			t.Errorf("acks %s: %+v", acks, s)
		}
	}
}

func TestFailedRecordsAreCountedAndExplainedOnce(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	o := NewProduceOptions("a")
	o.Partition = 5
	var reports []ProducedRecord
	o.PerRecord = func(r ProducedRecord) { reports = append(reports, r) }
	s, err := Produce(t.Context(), target, o, strings.NewReader("x\ny\n"))
	if err != nil || s.Failed != 2 || s.Records != 0 || len(s.Errors) != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
	if len(reports) != 2 || reports[0].Error == "" || reports[0].Offset != -1 {
		t.Errorf("reports %+v", reports)
	}
}

func TestEveryRecordIsReportedWithItsOffset(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	o := NewProduceOptions("a")
	var offsets []int64
	o.PerRecord = func(r ProducedRecord) { offsets = append(offsets, r.Offset) }
	produce(t, target, o, "x\ny\nz\n")
	if fmt.Sprint(offsets) != "[0 1 2]" {
		t.Errorf("got %v", offsets)
	}
}

func TestAnInterruptDeliversWhatWasRead(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer out.Close()
	o := NewProduceOptions("a")
	o.Linger = 0
	o.PerRecord = func(ProducedRecord) { cancel() }
	go func() { _, _ = out.Write([]byte("x\n")) }() // and then nothing, for ever
	s, err := Produce(ctx, target, o, in)
	if err != nil || s.Records != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestBadInputLateInTheFileKeepsWhatCameBefore(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	o := NewProduceOptions("a")
	o.Input = InputJSON
	s, err := Produce(t.Context(), target, o, strings.NewReader(`{"value":"x"} nonsense`))
	if err == nil || s == nil || s.Records != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestSummariesPrintInEveryFormat(t *testing.T) {
	s := &ProduceSummary{Topic: "a", Records: 2, Bytes: 1500, Partitions: []ProducedPartition{{Partition: 1, Records: 2, First: 5, Last: 6}}}
	var table, js, y bytes.Buffer
	for f, w := range map[Format]*bytes.Buffer{Table: &table, JSON: &js, YAML: &y} {
		if err := Print(w, f, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := table.String(); got != "2 records (1.5 kB) in 0.00 s to a, 0 failed\n" {
		t.Errorf("table %q", got)
	}
	var back ProduceSummary
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || back.Partitions[0].Last != 6 {
		t.Errorf("json %s, %v", js.String(), err)
	}
	if want := "partitions:\n  - partition: 1\n    records: 2\n    firstOffset: 5\n"; !strings.Contains(y.String(), want) {
		t.Errorf("yaml %s", y.String())
	}
}
