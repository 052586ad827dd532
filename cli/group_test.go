package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

// table is what Print writes for people.
func table(t *testing.T, v Printable) string {
	t.Helper()
	var out bytes.Buffer
	if err := Print(&out, Table, v); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// golden compares text, of which indentation in the test doesn't count.
func golden(t *testing.T, got, want string) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", "")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// reset commits offsets and fails the test if it can't.
func reset(t *testing.T, target Target, group string, to ResetTo, topics ...string) *OffsetReset {
	t.Helper()
	selections, err := ParseSelections(topics)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ResetOffsets(t.Context(), target, ResetOffsetsOptions{Groups: []string{group}, Topics: selections, To: to, Execute: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLagIsWhatLiesBetweenCommittedAndLogEnd(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "orders"), kfake.SeedTopics(1, "pay"))
	numbered(t, target, "orders", 0, 10)
	numbered(t, target, "orders", 1, 7)
	numbered(t, target, "pay", 0, 3)
	reset(t, target, "g", ResetTo{Offset: "4"}, "orders")
	reset(t, target, "g", ResetTo{Latest: true}, "pay")
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{"g"}, View: GroupOffsets})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, list), `
	group g  classic  Empty  members 0  coordinator 0
	TOPIC   PARTITION  COMMITTED  LOG-END  LAG  MEMBER  HOST  CLIENT-ID
	orders  0          4          10       6    -       -     -
	orders  1          4          7        3    -       -     -
	pay     0          3          3        0    -       -     -
	total lag 9
	`)
	list, err = DescribeGroups(t.Context(), target, DescribeGroupsOptions{All: true, View: GroupState})
	if err != nil || len(list) != 1 || list[0].Members != nil || list[0].Partitions != nil {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := table(t, list); !strings.HasPrefix(got, "GROUP  TYPE     STATE  ASSIGNOR  MEMBERS  COORDINATOR\ng      classic  Empty  -         0        0 (127.0.0.1:") {
		t.Errorf("states:\n%s", got)
	}
}

func TestAGroupThatIsNotThereIsAnErrorBesideTheOthers(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	reset(t, target, "g", ResetTo{Earliest: true}, "a")
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{"nope", "g", "g"}, View: GroupOffsets})
	if len(list) != 1 || !errors.Is(err, kerr.GroupIDNotFound) || !strings.Contains(err.Error(), "describe group nope: GROUP_ID_NOT_FOUND") {
		t.Errorf("describe: %+v, %v", list, err)
	}
	deleted, err := DeleteGroups(t.Context(), target, DeleteGroupsOptions{Groups: []string{"g", "nope"}})
	if !errors.Is(err, kerr.GroupIDNotFound) || !slices.Equal(deleted.Deleted, []string{"g"}) {
		t.Errorf("delete: %+v, %v", deleted, err)
	}
	deleted, err = DeleteGroups(t.Context(), target, DeleteGroupsOptions{Groups: []string{"g"}, IfExists: true})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, deleted), "group g does not exist\n")
}

func TestGroupsAreListedByStateAndType(t *testing.T) {
	target := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "a"))
	for _, g := range []string{"b", "a", "c"} {
		reset(t, target, g, ResetTo{Earliest: true}, "a")
	}
	for _, c := range []struct {
		o    ListGroupsOptions
		want string
	}{
		{ListGroupsOptions{}, "a b c"},
		{ListGroupsOptions{States: []string{"empty", "STABLE"}, Types: []string{"Classic"}}, "a b c"},
		{ListGroupsOptions{States: []string{"stable"}}, ""},
		{ListGroupsOptions{Types: []string{"share"}}, ""},
	} {
		list, err := ListGroups(t.Context(), target, c.o)
		var names []string
		for _, g := range list {
			names = append(names, g.Group)
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%+v: got %q, %v, want %q", c.o, got, err, c.want)
		}
	}
	for _, o := range []ListGroupsOptions{{States: []string{"x"}}, {Types: []string{""}}} {
		if _, err := ListGroups(t.Context(), target, o); !isUsage(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestOffsetsAreResetAsKafkaDoes(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	numbered(t, target, "a", 0, 10) // at 1000..1009 ms
	numbered(t, target, "a", 1, 4)
	if _, err := DeleteRecords(t.Context(), target, DeleteRecordsOptions{Topic: "a", Offsets: map[int32]int64{0: 2}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to       ResetTo
		want     [2]int64
		warnings int
	}{
		{ResetTo{Earliest: true}, [2]int64{2, 0}, 0},
		{ResetTo{Latest: true}, [2]int64{10, 4}, 0},
		{ResetTo{Current: true}, [2]int64{5, 4}, 0}, // nothing is committed of partition 1
		{ResetTo{Offset: "3"}, [2]int64{3, 3}, 0},
		{ResetTo{Offset: "7"}, [2]int64{7, 4}, 1},
		{ResetTo{Offset: "-1"}, [2]int64{2, 0}, 2},
		{ResetTo{Datetime: "1970-01-01T00:00:01.003"}, [2]int64{3, 3}, 0},
		{ResetTo{Datetime: "1970-01-01T01:00:01.006+01:00"}, [2]int64{6, 4}, 1},
		{ResetTo{Datetime: "1009"}, [2]int64{9, 4}, 1},
		{ResetTo{Duration: "PT0S"}, [2]int64{10, 4}, 2},
		{ResetTo{Duration: "P36500D"}, [2]int64{2, 0}, 0},
	} {
		reset(t, target, "g", ResetTo{Offset: "5"}, "a:0")
		r, err := ResetOffsets(t.Context(), target, ResetOffsetsOptions{
			Groups: []string{"g"}, Topics: []PartitionSelection{{Topic: "a"}}, To: c.to,
		})
		if err != nil || len(r.Offsets) != 2 || r.Executed {
			t.Fatalf("%+v: %+v, %v", c.to, r, err)
		}
		if got := [2]int64{r.Offsets[0].Offset, r.Offsets[1].Offset}; got != c.want || len(r.Warnings()) != c.warnings {
			t.Errorf("%+v: got %v, warnings %q, want %v and %d", c.to, got, r.Warnings(), c.want, c.warnings)
		}
	}
}

func TestShiftsNeedSomethingCommitted(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	numbered(t, target, "a", 0, 10)
	reset(t, target, "g", ResetTo{Offset: "5"}, "a:0")
	for by, want := range map[string]int64{"3": 8, "-2": 3, "100": 10, "-100": 0} {
		reset(t, target, "g", ResetTo{Offset: "5"}, "a:0")
		if r := reset(t, target, "g", ResetTo{ShiftBy: by}, "a:0"); r.Offsets[0].Offset != want {
			t.Errorf("by %s: %+v", by, r.Offsets)
		}
	}
	_, err := ResetOffsets(t.Context(), target, ResetOffsetsOptions{
		Groups: []string{"g"}, Topics: []PartitionSelection{{Topic: "a"}}, To: ResetTo{ShiftBy: "1"}, Execute: true,
	})
	if err == nil || !strings.Contains(err.Error(), "a:1: nothing is committed") {
		t.Errorf("got %v", err)
	}
}

func TestADryRunCommitsNothing(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 10)
	reset(t, target, "g", ResetTo{Offset: "5"}, "a")
	o := ResetOffsetsOptions{Groups: []string{"g"}, AllTopics: true, To: ResetTo{Earliest: true}}
	for _, execute := range []bool{false, true} {
		o.Execute = execute
		r, err := ResetOffsets(t.Context(), target, o)
		if err != nil || *r.Offsets[0].Before != 5 || r.Offsets[0].Offset != 0 {
			t.Errorf("execute %v: %+v, %v", execute, r, err)
		}
	}
	if r, err := ResetOffsets(t.Context(), target, o); err != nil || *r.Offsets[0].Before != 0 {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

func TestAnExportIsReadBack(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	numbered(t, target, "a", 0, 10)
	numbered(t, target, "a", 1, 10)
	reset(t, target, "g", ResetTo{Offset: "5"}, "a:0")
	reset(t, target, "g", ResetTo{Offset: "6"}, "a:1")
	reset(t, target, "h", ResetTo{Offset: "7"}, "a:1")
	for _, c := range []struct {
		groups []string
		csv    string
	}{
		{[]string{"g"}, "a,0,5\na,1,6\n"},
		{[]string{"h", "g"}, "g,a,0,5\ng,a,1,6\nh,a,1,7\n"},
	} {
		o := ResetOffsetsOptions{Groups: c.groups, AllTopics: true, To: ResetTo{Current: true}}
		r, err := ResetOffsets(t.Context(), target, o)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, table(t, r.CSV()), c.csv)
		file := filepath.Join(t.TempDir(), "plan.csv")
		if err := os.WriteFile(file, []byte(c.csv), 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := ResetOffsets(t.Context(), target, ResetOffsetsOptions{Groups: c.groups, To: ResetTo{File: file}})
		if err != nil || table(t, again) != table(t, r) {
			t.Errorf("%v: %v", c.groups, err)
		}
	}
}

func TestBadPlansAreNamedByLine(t *testing.T) {
	for text, want := range map[string]string{
		"a,0,1\na,0":  "line 2 is not TOPIC,PARTITION,OFFSET",
		"a,x,1":       `line 1: "x" is not a partition`,
		"a,-1,1":      `line 1: "-1" is not a partition`,
		"g,a,0,x":     `line 1: "x" is not an offset`,
		"a,0,1,2,3":   "line 1 is not",
		"\"a,0,1\n":   "quote",
		"g,a,0,1\n\n": "",
	} {
		_, err := readResetFile(strings.NewReader(text), "g")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := readResetFile(strings.NewReader("a,0,1"), ""); err == nil {
		t.Error("a line without its group was read though several groups are reset")
	}
}

func TestResetsThatMeanNothingAreUsageErrors(t *testing.T) {
	one := []PartitionSelection{{Topic: "a"}}
	for name, o := range map[string]ResetOffsetsOptions{
		"no group":       {Topics: one, To: ResetTo{Latest: true}},
		"group and all":  {Groups: []string{"g"}, AllGroups: true, Topics: one, To: ResetTo{Latest: true}},
		"no scenario":    {Groups: []string{"g"}, Topics: one},
		"two scenarios":  {Groups: []string{"g"}, Topics: one, To: ResetTo{Latest: true, Offset: "1"}},
		"no scope":       {Groups: []string{"g"}, To: ResetTo{Latest: true}},
		"two scopes":     {Groups: []string{"g"}, Topics: one, AllTopics: true, To: ResetTo{Latest: true}},
		"not a number":   {Groups: []string{"g"}, Topics: one, To: ResetTo{Offset: "x"}},
		"not a time":     {Groups: []string{"g"}, Topics: one, To: ResetTo{Datetime: "x"}},
		"not a duration": {Groups: []string{"g"}, Topics: one, To: ResetTo{Duration: "x"}},
	} {
		if _, err := ResetOffsets(t.Context(), Target{}, o); !isUsage(err) {
			t.Errorf("%s: got %v, want a usage error", name, err)
		}
	}
}

func TestDurationsAreThoseOfJava(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT15M": 15 * time.Minute, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond,
		"pt1h": time.Hour, "-PT1H": -time.Hour, "PT-1H": -time.Hour, "15m": 15 * time.Minute, "PT0S": 0,
	} {
		if got, err := parseISODuration(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "P", "PT", "P1H", "1D", "PT1D", "P1DT", "PT1", "PT1MS", "PT5US", "P99999999D", "P1MT1M"} {
		if got, err := parseISODuration(s); !isUsage(err) {
			t.Errorf("%q: got %v, %v, want a usage error", s, got, err)
		}
	}
}

func TestOffsetsOfAPartitionAreDeleted(t *testing.T) {
	target := fake(t, kfake.SeedTopics(2, "a"))
	reset(t, target, "g", ResetTo{Latest: true}, "a")
	deleted, err := DeleteGroupOffsets(t.Context(), target, "g", []PartitionSelection{{"a", []int32{1}}, {Topic: "nope"}})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("the topic that is not there: %v", err)
	}
	golden(t, table(t, deleted), "TOPIC  PARTITION  STATUS\na      1          deleted\n")
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{"g"}, View: GroupOffsets})
	if err != nil || len(list[0].Partitions) != 1 || list[0].Partitions[0].Partition != 0 {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func TestAnActiveGroupIsNotReset(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	numbered(t, target, "a", 0, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	member := startMember(ctx, t, target, ConsumeGroupOptions{Group: "g", Topics: []string{"a"}})
	member.line(t)
	_, err := ResetOffsets(t.Context(), target, ResetOffsetsOptions{
		Groups: []string{"g"}, Topics: []PartitionSelection{{Topic: "a"}}, To: ResetTo{Latest: true}, Execute: true,
	})
	if err == nil || !strings.Contains(err.Error(), "reset offsets of group g: the group must be inactive, but its state is Stable with 1 members") {
		t.Errorf("got %v", err)
	}
	list, err := DescribeGroups(t.Context(), target, DescribeGroupsOptions{Groups: []string{"g"}, View: GroupMembers})
	if err != nil || len(list[0].Members) != 1 || !slices.Equal(list[0].Members[0].Assignment["a"], []int32{0}) {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := table(t, list); !strings.HasSuffix(got, "  1           a:0\n") {
		t.Errorf("members:\n%s", got)
	}
	stop()
	if err := member.end(); err != nil {
		t.Error(err)
	}
	reset(t, target, "g", ResetTo{Latest: true}, "a")
}
