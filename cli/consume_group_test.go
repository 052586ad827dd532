package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// runningMember is ConsumeGroup in a goroutine, whose lines are read one by one.
type runningMember struct {
	lines *bufio.Reader
	out   *io.PipeWriter
	ended chan error
}

func startMember(ctx context.Context, t *testing.T, target Target, o ConsumeGroupOptions) *runningMember {
	t.Helper()
	o.ConsumeOptions = memberOptions(o.ConsumeOptions)
	r, w := io.Pipe()
	m := &runningMember{lines: bufio.NewReader(r), out: w, ended: make(chan error, 1)}
	go func() {
		_, err := ConsumeGroup(ctx, target, o, w)
		w.Close()
		m.ended <- err
	}()
	t.Cleanup(func() { r.Close() })
	return m
}

func memberOptions(o ConsumeOptions) ConsumeOptions {
	n := NewConsumeOptions("")
	n.Count, n.UntilEnd = o.Count, o.UntilEnd
	if o.Start.kind != fromEarliest {
		n.Start = o.Start
	}
	return n
}

func (m *runningMember) line(t *testing.T) string {
	t.Helper()
	s, err := m.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%v, %v", err, m.end())
	}
	return strings.TrimSuffix(s, "\n")
}

func (m *runningMember) end() error { return <-m.ended }

// consumeGroup runs a member to its end and returns what it printed.
func consumeGroup(t *testing.T, target Target, o ConsumeGroupOptions) string {
	t.Helper()
	o.ConsumeOptions = memberOptions(o.ConsumeOptions)
	var out bytes.Buffer
	if _, err := ConsumeGroup(t.Context(), target, o, &out); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func committed(t *testing.T, target Target, group string) []GroupPartition {
	t.Helper()
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{group}, View: GroupOffsets})
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Partitions
}

func TestAMemberCommitsWhatItPrintedAndNothingElse(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 10)
	o := ConsumeGroupOptions{Group: "g", Topics: []string{"a"}, ConsumeOptions: ConsumeOptions{Count: 4}}
	if got := consumeGroup(t, target, o); got != "0 1 2 3" {
		t.Errorf("first: %q", got)
	}
	if p := committed(t, target, "g"); len(p) != 1 || *p[0].Committed != 4 {
		t.Errorf("committed %+v, want 4", p)
	}
	o.NoCommit = true
	if got := consumeGroup(t, target, o); got != "4 5 6 7" {
		t.Errorf("without a commit: %q", got)
	}
	o.NoCommit, o.Count = false, 0
	o.UntilEnd = true
	if got := consumeGroup(t, target, o); got != "4 5 6 7 8 9" {
		t.Errorf("to the end: %q", got)
	}
	if got := consumeGroup(t, target, o); got != "" {
		t.Errorf("at the end: %q", got)
	}
	if p := committed(t, target, "g"); *p[0].Committed != 10 || *p[0].Lag != 0 {
		t.Errorf("committed %+v, want 10", p)
	}
}

func TestAMemberReadsSeveralTopics(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"), kfake.SeedTopics(1, "b", "empty"))
	numbered(t, target, "a", 0, 1)
	numbered(t, target, "a", 1, 1)
	numbered(t, target, "b", 0, 1)
	o := ConsumeGroupOptions{Group: "g", Topics: []string{"a", "b", "empty"}, Assignor: "range", ConsumeOptions: NewConsumeOptions("")}
	o.UntilEnd, o.Output = true, Table
	var out bytes.Buffer
	s, err := ConsumeGroup(t.Context(), target, o, &out)
	if err != nil || s.Records != 3 || s.Bytes != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if lines[0] != "TOPIC\tPARTITION\tOFFSET\tTIMESTAMP\tKEY\tVALUE" {
		t.Errorf("header %q", lines[0])
	}
	if got := sorted(strings.Join(lines[1:], "\n")); got != "a\t0\t0\t1000\t\t0\na\t1\t0\t1000\t\t0\nb\t0\t0\t1000\t\t0" {
		t.Errorf("got\n%s", got)
	}
}

func TestAMemberBeginsAtTheEndIfItIsTold(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 5)
	latest, err := ParseStart("latest")
	if err != nil {
		t.Fatal(err)
	}
	o := ConsumeGroupOptions{Group: "g", Topics: []string{"a"}, ConsumeOptions: ConsumeOptions{Start: latest, UntilEnd: true}}
	if got := consumeGroup(t, target, o); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestAnInterruptCommitsAndLeaves(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 3)
	ctx, stop := context.WithCancel(t.Context())
	m := startMember(ctx, t, target, ConsumeGroupOptions{Group: "g", Topics: []string{"a"}})
	for _, want := range []string{"0", "1", "2"} {
		if got := m.line(t); got != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	stop()
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{"g"}, View: GroupOffsets})
	if err != nil || list[0].State != "Empty" || *list[0].Partitions[0].Committed != 3 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMembershipsThatCanNotBeAreRefused(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	offset, err := ParseStart("7")
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]ConsumeGroupOptions{
		"assignor": {Group: "g", Topics: []string{"a"}, Assignor: "x"},
		"no topic": {Group: "g"},
		"no group": {Topics: []string{"a"}},
		"start":    {Group: "g", Topics: []string{"a"}, ConsumeOptions: ConsumeOptions{Start: offset}},
	} {
		if _, err := ConsumeGroup(t.Context(), target, o, io.Discard); !isUsage(err) {
			t.Errorf("%s: got %v, want a usage error", name, err)
		}
	}
	_, err = ConsumeGroup(t.Context(), target, ConsumeGroupOptions{Group: "g", Topics: []string{"nope"}}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "consume: topic nope: UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestAnotherAssignorThanTheGroupsIsAnError(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	m := startMember(ctx, t, target, ConsumeGroupOptions{Group: "g", Topics: []string{"a"}, Assignor: "range"})
	m.line(t)
	o := ConsumeGroupOptions{Group: "g", Topics: []string{"a"}, Assignor: "roundrobin", ConsumeOptions: NewConsumeOptions("")}
	_, err := ConsumeGroup(t.Context(), target, o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "INCONSISTENT_GROUP_PROTOCOL") {
		t.Errorf("got %v", err)
	}
	stop()
	if err := m.end(); err != nil {
		t.Error(err)
	}
}
