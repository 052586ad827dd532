package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// at is an endpoint whose only address has been tried with this outcome; a broker of cluster "c" answers if it was none.
func at(host, addr string, port int, failure Failure) *Endpoint {
	ip := netip.MustParseAddr(addr)
	e := &Endpoint{Host: host, Port: port, Lookup: Lookup{Addrs: []netip.Addr{ip}}, Dials: []Dial{{Addr: ip, Failure: failure}}}
	if failure == None {
		e.Answer = &Answer{Kind: Broker, Versions: &Versions{}, View: &View{ClusterID: "c"}}
	}
	return e
}

func unknown(host string) *Endpoint {
	return &Endpoint{Host: host, Port: 9092, Lookup: Lookup{Failure: NotFound, Err: "no such host"}}
}

func TestAdvertisedAddressesAreJudgedByWhereTheBootstrapAddressLies(t *testing.T) {
	public := at("kafka.example.com", "203.0.113.5", 9092, None)
	here := at("localhost", "127.0.0.1", 29092, None)
	for name, c := range map[string]struct {
		start    *Endpoint
		seen     *Endpoint
		severity Severity
		words    []string
	}{
		"the same address":          {public, at("kafka.example.com", "203.0.113.5", 9092, None), OK, []string{"kafka.example.com:9092"}},
		"localhost from afar":       {public, at("localhost", "127.0.0.1", 9092, None), Problem, []string{"advertised.listeners=PLAINTEXT://kafka.example.com:9092"}},
		"localhost with a dot":      {public, at("LOCALHOST.", "127.0.0.1", 9092, None), Problem, []string{"advertised.listeners"}},
		"127.0.0.2 from afar":       {public, at("127.0.0.2", "127.0.0.2", 9092, None), Problem, []string{"advertised.listeners"}},
		"localhost at home":         {here, at("localhost", "127.0.0.1", 9092, None), OK, nil},
		"any address":               {here, at("0.0.0.0", "0.0.0.0", 9092, None), Problem, []string{"all interfaces", "PLAINTEXT://localhost:29092"}},
		"any IPv6 address":          {here, at("::", "::", 9092, None), Problem, []string{"all interfaces"}},
		"mapped any address":        {here, at("::ffff:0.0.0.0", "::ffff:0.0.0.0", 9092, None), Problem, []string{"all interfaces"}},
		"no host":                   {public, unknown(""), Problem, []string{"is no address"}},
		"a container's name":        {here, unknown("kafka"), Problem, []string{"container", "two listeners"}},
		"a pod's name":              {here, unknown("kafka-0.kafka.ns.svc.cluster.local"), Problem, []string{"Kubernetes"}},
		"a name nobody knows":       {public, unknown("kafka.internal.example"), Problem, []string{"does not resolve here"}},
		"a port that is not open":   {here, at("localhost", "127.0.0.1", 9092, Refused), Problem, []string{"the host is right, the port is not", "PLAINTEXT://localhost:29092"}},
		"a private address":         {public, at("10.0.0.5", "10.0.0.5", 9092, TimedOut), Problem, []string{"private", "no answer"}},
		"an unreachable network":    {public, at("172.17.0.2", "172.17.0.2", 9092, Unreachable), Problem, []string{"private", "unreachable"}},
		"gone since":                {public, at("kafka.example.com", "203.0.113.5", 9092, Refused), Problem, []string{"a moment ago"}},
		"a private one that serves": {public, at("10.0.0.5", "10.0.0.5", 9092, None), OK, nil},
	} {
		a := &advertised{start: c.start, cluster: "c", alone: true, member: Member{ID: 4, Host: c.seen.Host, Port: int32(c.seen.Port)}, seen: c.seen}
		r := &Report{}
		r.add(advertisedFindings(a, noon)...)
		if r.Healthy() != (c.severity == OK) {
			t.Errorf("%s:\n%s", name, table(r))
			continue
		}
		f := finds(t, r, c.severity, c.words...)
		if !strings.HasPrefix(f.Subject, "broker 4, advertised as") {
			t.Errorf("%s: subject %q", name, f.Subject)
		}
	}
}

func TestWhoAnswersIsComparedWithWhoWasAdvertised(t *testing.T) {
	for name, c := range map[string]struct {
		cluster  string
		identity Identity
		severity Severity
		what     string
	}{
		"it is":           {"c", Identity{Checked: true, Match: true}, OK, "broker 1 of this cluster answers there"},
		"it is not":       {"c", Identity{Checked: true}, Problem, "who answers there is not broker 1"},
		"it can't tell":   {"c", Identity{}, OK, "offers no way to ask"},
		"another cluster": {"d", Identity{Checked: true, Match: true}, Problem, "another cluster: d, not c"},
		"clocks agree":    {"c", Identity{Checked: true, Match: true, Newest: noon.Add(time.Second)}, OK, "broker 1"},
		"a clock ahead":   {"c", Identity{Checked: true, Match: true, Newest: noon.Add(2 * time.Hour)}, Warning, "2h0m0s in the future"},
	} {
		e := at("b", "10.0.0.1", 9092, None)
		e.Answer.View.ClusterID, e.Answer.Identity = c.cluster, c.identity
		a := &advertised{start: at("a", "10.0.0.1", 9092, None), cluster: "c", member: Member{ID: 1, Host: "b", Port: 9092}, seen: e}
		r := &Report{}
		r.add(advertisedFindings(a, noon)...)
		if finds(t, r, c.severity, c.what); r.Healthy() != (c.severity != Problem) {
			t.Errorf("%s:\n%s", name, table(r))
		}
	}
}

func TestTheAdvertisedAddressMustBeSecuredAsTheBootstrapAddressIs(t *testing.T) {
	good := &TLS{NotAfter: noon.Add(time.Hour)}
	for name, c := range map[string]struct {
		start, seen *TLS
		what        string
	}{
		"neither":          {nil, nil, ""},
		"both":             {good, good, ""},
		"only advertised":  {nil, good, "the bootstrap address speaks plain text, the advertised one TLS"},
		"only bootstrap":   {good, nil, "the bootstrap address speaks TLS, the advertised one plain text"},
		"another's name":   {good, &TLS{NotAfter: noon.Add(time.Hour), Names: []string{"x"}, NameErr: "is not b"}, "its certificate is for x: is not b"},
		"another, expired": {good, &TLS{NotAfter: noon.Add(-time.Hour)}, "its certificate expired"},
	} {
		start, seen := at("a", "10.0.0.1", 9092, None), at("b", "10.0.0.2", 9092, None)
		start.Answer.TLS, seen.Answer.TLS = c.start, c.seen
		a := &advertised{start: start, cluster: "c", member: Member{ID: 1, Host: "b", Port: 9092}, seen: seen}
		r := &Report{}
		r.add(advertisedFindings(a, noon)...)
		if r.Healthy() != (c.what == "") {
			t.Errorf("%s:\n%s", name, table(r))
		}
		if c.what != "" {
			finds(t, r, Problem, c.what)
		}
	}
}

func TestAFencedBrokerIsAWarning(t *testing.T) {
	a := &advertised{start: at("a", "10.0.0.1", 9092, None), member: Member{ID: 2, Host: "b", Port: 9092, Fenced: true}}
	if f := advertisedFindings(a, noon); len(f) != 1 || f[0].Severity != Warning || a.answersText() != "fenced" {
		t.Errorf("%+v", f)
	}
}

func TestTheReleaseIsJudgedByLevelsAndVersions(t *testing.T) {
	for want, v := range map[string]*Versions{
		"metadata.version 30, that of Kafka 4.3 or newer": {Finalized: map[string]int16{"metadata.version": 30}},
		"metadata.version 19, that of Kafka 3.7 or newer": {Finalized: map[string]int16{"metadata.version": 19}},
		"as new as Kafka 3.1 or newer":                    {Ranges: map[int16]Range{1: {0, 14}}},
		"":                                                {Ranges: map[int16]Range{1: {0, 1}}},
	} {
		if got := release(v); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheNewestCommonVersionIsTaken(t *testing.T) {
	v := &Versions{Ranges: map[int16]Range{3: {4, 9}}}
	for own, want := range map[int16]int16{13: 9, 9: 9, 5: 5, 4: 4} {
		if got, ok := v.best(3, own); !ok || got != want {
			t.Errorf("own %d: got %d, %v", own, got, ok)
		}
	}
	if _, ok := v.best(3, 3); ok {
		t.Error("3 is below the range")
	}
	if _, ok := v.best(1, 3); ok {
		t.Error("1 is not served")
	}
}

func TestOnlySomePartitionsAreNamed(t *testing.T) {
	r := &Report{}
	r.add(leaderFindings(&View{Partitions: 7, NoLeader: 7, Leaderless: []string{"a-0", "a-1"}})...)
	finds(t, r, Problem, "7 of 7 partitions without a leader: a-0, a-1, ...")
}

func TestABrokerThatLeadsNoneOfItsPartitionsIsAnother(t *testing.T) {
	answer := func(codes ...int16) *kmsg.ListOffsetsResponse {
		resp := kmsg.NewPtrListOffsetsResponse()
		topic := kmsg.NewListOffsetsResponseTopic()
		for i, code := range codes {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.ErrorCode, p.Timestamp = code, int64(i*1000)
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp
	}
	var id Identity
	if led, refused := id.hear(answer(codeNotLeader, codeNotLeader)); led != 0 || refused != 2 || !id.Newest.IsZero() {
		t.Errorf("%d led, %d refused, %v", led, refused, id.Newest)
	}
	if led, refused := id.hear(answer(0, codeNotLeader, 0, 0, 29)); led != 3 || refused != 1 || id.Newest.UnixMilli() != 3000 {
		t.Errorf("%d led, %d refused, %v", led, refused, id.Newest)
	}
}
