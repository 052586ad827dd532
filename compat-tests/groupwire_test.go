package compat

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of consumer groups, byte for byte what Apache Kafka answers: every scenario of groupwire_scenarios_test.go
// writes a transcript of what it asked and got, which must be that of testdata/groupwire. Those files are recorded from
// Apache Kafka itself: COMPAT_BROKER=kafka go test -run TestGroupsAnswerAsKafkaDoes -record-groupwire.

var recordGroupwire = flag.Bool("record-groupwire", false, "write testdata/groupwire from the broker under test")

func TestGroupsAnswerAsKafkaDoesBeforeTheirTopicExists(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "t", 2)
	runGroupScenario(t, b, topicIDs(t, b, "t"), "no-coordinator", requestsWithoutCoordinator)
}

func TestGroupsAnswerAsKafkaDoes(t *testing.T) {
	b := startBroker(t, "--set", "group.initial.rebalance.delay.ms=10", "--set", "group.min.session.timeout.ms=100",
		"--set", "group.max.session.timeout.ms=100000", "--set", "offset.metadata.max.bytes=100",
		"--set", "offsets.topic.num.partitions=5", "--set", "group.max.size=3")
	createTopic(t, b, "t", 2)
	createTopic(t, b, "other", 1)
	ids := topicIDs(t, b, "t", "other")
	settleGroups(t, b)
	for _, s := range groupScenarios {
		t.Run(s.name, func(t *testing.T) {
			if !againstKafka {
				t.Parallel()
			}
			runGroupScenario(t, b, ids, s.name, s.run)
		})
	}
}

// runGroupScenario writes a scenario's transcript and compares it, or records it.
func runGroupScenario(t *testing.T, b *broker, ids map[[16]byte]string, name string, run func(*groupWire)) {
	g := &groupWire{t: t, addr: b.addr, ids: ids, scenario: name, wires: map[string]*wire{}, waiting: map[string]waitingAnswer{}}
	run(g)
	path := filepath.Join("testdata", "groupwire", name+".txt")
	if *recordGroupwire {
		if err := os.WriteFile(path, []byte(g.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compareTranscripts(t, string(want), g.out.String())
}

// compareTranscripts names the first lines that differ, with what was asked before.
func compareTranscripts(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	shown := 0
	for i := 0; i < max(len(w), len(g)) && shown < 12; i++ {
		var wl, gl string
		if i < len(w) {
			wl = w[i]
		}
		if i < len(g) {
			gl = g[i]
		}
		if wl == gl {
			continue
		}
		shown++
		asked := ""
		for j := min(i, len(g)-1); j >= 0; j-- {
			if strings.Contains(g[j], "> ") {
				asked = g[j]
				break
			}
		}
		t.Errorf("line %d\n%s\n Kafka: %s\n here:  %s", i+1, asked, wl, gl)
	}
}

// topicIDs finds the ids of topics.
func topicIDs(t *testing.T, b *broker, names ...string) map[[16]byte]string {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	for i := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &names[i]
		req.Topics = append(req.Topics, topic)
	}
	ids := map[[16]byte]string{{}: "none"}
	for _, topic := range openWire(t, b.addr).must(t, req).(*kmsg.MetadataResponse).Topics {
		ids[topic.TopicID] = *topic.Topic
	}
	return ids
}

// settleGroups waits until every coordinator is there.
func settleGroups(t *testing.T, b *broker) {
	t.Helper()
	w := openWire(t, b.addr)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKeys = 4, []string{"g"}
		list := kmsg.NewPtrListGroupsRequest()
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version, fetch.Group = 5, "g"
		found := w.must(t, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0
		if found && w.must(t, list).(*kmsg.ListGroupsResponse).ErrorCode == 0 && w.must(t, fetch).(*kmsg.OffsetFetchResponse).ErrorCode == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no coordinator for groups")
		}
	}
}

// groupWire writes down what clients ask and are answered. Each client, by name, has a connection of its own.
type groupWire struct {
	t        *testing.T
	addr     string
	ids      map[[16]byte]string
	scenario string
	wires    map[string]*wire
	waiting  map[string]waitingAnswer
	members  []string // ids that the broker gave, M1, M2...
	out      strings.Builder
}

type waitingAnswer struct {
	req         kmsg.Request
	correlation int32
}

// group is a group of this scenario alone.
func (g *groupWire) group(name string) string { return g.scenario + "-" + name }

func (g *groupWire) topicID(name string) [16]byte {
	for id, n := range g.ids {
		if n == name {
			return id
		}
	}
	g.t.Fatalf("no topic %s", name)
	return [16]byte{}
}

func (g *groupWire) note(format string, args ...any) {
	fmt.Fprintf(&g.out, "\n# "+format+"\n", args...)
}

// begin sends a request that may be answered later.
func (g *groupWire) begin(client string, version int16, req kmsg.Request) {
	g.t.Helper()
	w := g.wires[client]
	if w == nil {
		w = openWire(g.t, g.addr)
		g.wires[client] = w
	}
	req.SetVersion(version)
	fmt.Fprintf(&g.out, "%s> %s v%d %s\n", client, kmsg.NameForKey(req.Key()), version, g.text(reflect.ValueOf(req).Elem(), true))
	correlation, err := w.send(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.waiting[client] = waitingAnswer{req, correlation}
}

// end reads the answer to what begin sent.
func (g *groupWire) end(client string) kmsg.Response {
	g.t.Helper()
	a := g.waiting[client]
	resp, err := g.wires[client].receive(a.req, a.correlation)
	if err != nil {
		g.t.Fatalf("%s's %s v%d: %v", client, kmsg.NameForKey(a.req.Key()), a.req.GetVersion(), err)
	}
	if join, ok := resp.(*kmsg.JoinGroupResponse); ok && uuidEnd.MatchString(join.MemberID) && !slices.Contains(g.members, join.MemberID) {
		g.members = append(g.members, join.MemberID)
		fmt.Fprintf(&g.out, "%s: M%d is %s\n", client, len(g.members), uuidEnd.ReplaceAllString(join.MemberID, "-UUID"))
	}
	g.show(client, resp)
	return resp
}

// show writes an answer down.
func (g *groupWire) show(client string, resp kmsg.Response) {
	fmt.Fprintf(&g.out, "%s< %s\n", client, g.text(reflect.ValueOf(resp).Elem(), false))
}

var uuidEnd = regexp.MustCompile(`-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (g *groupWire) ask(client string, version int16, req kmsg.Request) kmsg.Response {
	g.t.Helper()
	g.begin(client, version, req)
	return g.end(client)
}

// text is a message without what differs from run to run. What a request leaves at its default is left out too. Lists of a
// response are sorted: their order means nothing.
func (g *groupWire) text(v reflect.Value, request bool) string {
	switch x := v.Interface().(type) {
	case [16]byte:
		if name, ok := g.ids[x]; ok {
			return "id:" + name
		}
		return "id:?"
	case []byte:
		return fmt.Sprintf("%q", x)
	case string:
		if uuidEnd.MatchString(x) {
			if !slices.Contains(g.members, x) {
				g.members = append(g.members, x)
			}
			return fmt.Sprintf("M%d", slices.Index(g.members, x)+1)
		}
		return fmt.Sprintf("%q", x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return g.text(v.Elem(), request)
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name == "UnknownTags" || name == "Version" || name == "ThrottleMillis" || request && v.Field(i).IsZero() {
				continue
			}
			fields = append(fields, name+":"+g.text(v.Field(i), request))
		}
		return "{" + strings.Join(fields, " ") + "}"
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, g.text(v.Index(i), request))
		}
		if !request {
			slices.Sort(items)
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	return fmt.Sprint(v.Interface())
}
