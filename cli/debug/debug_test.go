package debug

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

func fake(t *testing.T, brokers int) (cli.Target, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return cli.Target{Bootstrap: c.ListenAddrs()[:1], Timeout: 10 * time.Second}, c
}

func send(t *testing.T, target cli.Target, api, body string) *Answer {
	t.Helper()
	a, err := Request(t.Context(), target, RequestOptions{API: api, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnAnswerIsPrintedInTheOrderOfItsSchema(t *testing.T) {
	target, _ := fake(t, 1)
	a := send(t, target, "metadata", `{"Topics":[{"topic":"orders"},{"topic":"nope"}]}`)
	var got struct {
		Topics []struct {
			Topic     string
			ErrorCode int
			TopicID   string `json:"topicId"`
		}
	}
	if err := json.Unmarshal(a.json, &got); err != nil || len(got.Topics) != 2 {
		t.Fatalf("%v in %s", err, a.json)
	}
	for _, topic := range got.Topics {
		if (topic.ErrorCode == 0) != (topic.Topic == "orders") || len(topic.TopicID) != 22 {
			t.Errorf("%+v", topic)
		}
	}
	if i, j := bytes.Index(a.json, []byte("brokers")), bytes.Index(a.json, []byte("topics")); i > j || i < 0 {
		t.Errorf("brokers at %d, topics at %d", i, j)
	}
	var table bytes.Buffer
	if err := a.WriteTable(&table); err != nil || !strings.Contains(table.String(), "UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("%v in\n%s", err, table.String())
	}
}

func TestAnAnswerHasOnlyTheFieldsOfItsVersion(t *testing.T) {
	target, _ := fake(t, 1)
	version := int16(1)
	a, err := Request(t.Context(), target, RequestOptions{API: "3", Version: &version, Body: []byte(`{"topics":[{"topicId":"AAAAAAAAAAAAAAAAAAAAAA","topic":"orders"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(a.json); strings.Contains(s, "topicId") || strings.Contains(s, "clusterId") || !strings.Contains(s, "controllerId") {
		t.Errorf("version 1: %s", s)
	}
	if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "topics[].topicId") || !strings.Contains(a.Warnings[0], "10+") {
		t.Errorf("warnings: %q", a.Warnings)
	}
}

func TestRequestsGoToTheBrokerAClientWouldChoose(t *testing.T) {
	target, c := fake(t, 3)
	if err := c.MoveTopicPartition("orders", 0, 2); err != nil {
		t.Fatal(err)
	}
	for api, body := range map[string]string{
		"ListOffsets":     `{"topics":[{"topic":"orders","partitions":[{"partition":0,"timestamp":-1}]}]}`,
		"DescribeConfigs": `{"resources":[{"resourceType":"BROKER","resourceName":"2"}]}`,
	} {
		if a := send(t, target, api, body); a.Broker != 2 {
			t.Errorf("%s went to broker %d, %s", api, a.Broker, a.Why)
		}
	}
	if a := send(t, target, "Heartbeat", `{"group":"g","memberId":"m"}`); a.Why != "the coordinator of group g" {
		t.Errorf("Heartbeat: %s", a.Why)
	}
	if a := send(t, target, "DeleteTopics", `{"topics":[]}`); !strings.Contains(a.Why, "controller") {
		t.Errorf("DeleteTopics: %s", a.Why)
	}
	named := int32(1)
	a, err := Request(t.Context(), target, RequestOptions{API: "ApiVersions", Broker: &named})
	if err != nil || a.Broker != 1 || a.Address != c.ListenAddrs()[1] {
		t.Errorf("named: %+v, %v", a, err)
	}
	none := int32(9)
	if _, err := Request(t.Context(), target, RequestOptions{API: "ApiVersions", Broker: &none}); err == nil || !strings.Contains(err.Error(), "no broker 9") {
		t.Errorf("unknown broker: %v", err)
	}
}

func TestWhatCantBeMeantIsAUsageErrorThatNamesThePlace(t *testing.T) {
	for body, want := range map[string]string{
		`{`:                                      "not JSON",
		`{} {}`:                                  "more behind",
		`[]`:                                     "an array where an object",
		`{"topicz":[]}`:                          `no field "topicz" (there: topics`,
		`{"topics":{}}`:                          "topics: an object where an array",
		`{"topics":[{"topic":1}]}`:               "topics[0].topic: a number where a string",
		`{"topics":[{},{"topicId":"x"}]}`:        "topics[1].topicId: \"x\" is no uuid",
		`{"allowAutoTopicCreation":1}`:           "allowAutoTopicCreation: a number where true or false",
		`{"allowAutoTopicCreation":null}`:        "can't be null",
		`{"unknownTags":{"x":""}}`:               "no number of a tagged field",
		`{"topics":[{"unknownTags":{"1":"?"}}]}`: "not base64",
		`{"version":3}`:                          "no field",
		`{"topics":[{"topic":"a","partition":1}]}`: "topics[0]: no field",
	} {
		_, err := decode([]byte(body), kmsg.NewPtrMetadataRequest())
		var u *cli.UsageError
		if !errors.As(err, &u) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	if _, err := decode([]byte(`{"timeoutMillis":5000000000}`), kmsg.NewPtrProduceRequest()); err == nil || !strings.Contains(err.Error(), "5000000000 is no int32") {
		t.Errorf("out of range: %v", err)
	}
}

func TestEveryMessageComesBackFromItsJSON(t *testing.T) {
	for key := range int16(kmsg.MaxKey + 1) {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		fields := fieldsOf(kmsg.RequestForKey(key))
		fill(reflect.ValueOf(req).Elem())
		for v := range req.MaxVersion() + 1 {
			req.SetVersion(v)
			text := encode(req, fields)
			back := kmsg.RequestForKey(key)
			if _, err := decode(text, back); err != nil {
				t.Fatalf("%s version %d: %v in %s", kmsg.NameForKey(key), v, err, text)
			}
			back.SetVersion(v)
			if !bytes.Equal(back.AppendTo(nil), req.AppendTo(nil)) {
				t.Errorf("%s version %d changed: %s", kmsg.NameForKey(key), v, text)
			}
		}
	}
}

func TestFieldsKnowTheirVersions(t *testing.T) {
	want := map[string]string{ // from Kafka's FetchRequest.json
		"maxBytes": "3+", "isolationLevel": "4+", "sessionId": "7+", "rack": "11+", "clusterId": "12+",
		"topics[].topic": "0-12", "topics[].topicId": "13+", "topics[].partitions[].currentLeaderEpoch": "9+", "replicaId": "0-14",
	}
	found := 0
	for _, f := range fieldsOf(kmsg.NewPtrFetchRequest()) {
		if w, ok := want[f.Path]; ok {
			found++
			if got := f.Versions(kmsg.NewPtrFetchRequest().MaxVersion()); got != w {
				t.Errorf("%s: %s, want %s", f.Path, got, w)
			}
		}
	}
	if found != len(want) {
		t.Errorf("found %d of %d fields", found, len(want))
	}
}

func TestBytesAreTextHexOrBase64(t *testing.T) {
	for in, want := range map[string]string{"text:a:b": "a:b", "hex:00ff": "\x00\xff", "YWI=": "ab", "base64:YWI=": "ab", "": ""} {
		if got, err := readBytes(in); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, b := range []string{"", "plain", "\x00", "text:x", "\xff\xfe"} {
		if back, err := readBytes(bytesText([]byte(b))); err != nil || string(back) != b {
			t.Errorf("%q became %q, %v", b, back, err)
		}
	}
}

func TestUnknownTagsAreSentAndPrinted(t *testing.T) {
	req := kmsg.NewPtrMetadataRequest()
	if _, err := decode([]byte(`{"unknownTags":{"77":"text:hi"},"topics":null}`), req); err != nil {
		t.Fatal(err)
	}
	req.Version = 12
	back := kmsg.NewPtrMetadataRequest()
	back.Version = 12
	if err := back.ReadFrom(req.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if text := string(encode(back, fieldsOf(kmsg.NewPtrMetadataRequest()))); !strings.Contains(text, `"unknownTags":{"77":"aGk="}`) || !strings.Contains(text, `"topics":null`) {
		t.Errorf("%s", text)
	}
}

func TestABrokerThatClosesIsToldWithTheVersionsItServes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 1000)
		if _, err := nc.Read(buf); err != nil {
			return
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = 3
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 3, MinVersion: 4, MaxVersion: 9}}
		body := resp.AppendTo(nil)
		_, _ = nc.Write(append([]byte{0, 0, byte((len(body) + 4) >> 8), byte(len(body) + 4), 0, 0, 0, 1}, body...))
		_, _ = nc.Read(buf)
	}()
	old := int16(1)
	target := cli.Target{Bootstrap: []string{l.Addr().String()}, Timeout: 5 * time.Second}
	_, err = Request(t.Context(), target, RequestOptions{API: "Metadata", Version: &old})
	if err == nil || !strings.Contains(err.Error(), "it serves versions 4-9") {
		t.Errorf("%v", err)
	}
}

func TestVersionsOfBothSidesAreListed(t *testing.T) {
	target, _ := fake(t, 1)
	table, err := Versions(t.Context(), target, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(table.APIs, func(a API) bool { return a.Name == "Metadata" })
	if i < 0 || table.APIs[i].Broker == nil || table.APIs[i].Own.Max != kmsg.NewPtrMetadataRequest().MaxVersion() {
		t.Errorf("%+v", table.APIs)
	}
	if !slices.ContainsFunc(table.APIs, func(a API) bool { return a.Broker == nil }) {
		t.Error("no API that only this side knows")
	}
}

func TestErrorsAreFoundByCodeAndName(t *testing.T) {
	all, err := Errors(nil)
	if err != nil || len(all) < 135 || all[0].Code != -1 || all[1].Name != "NONE" {
		t.Fatalf("%d errors, %v", len(all), err)
	}
	for want, code := range map[string]int16{"27": 27, "-1": -1, "rebalance-in-progress": 27, "NONE": 0, "133": 133} {
		if l, err := Errors([]string{want}); err != nil || len(l) != 1 || l[0].Code != code {
			t.Errorf("%s: %+v, %v", want, l, err)
		}
	}
	if _, err := Errors([]string{strconv.Itoa(9999)}); err == nil {
		t.Error("9999 was found")
	}
}

func TestATemplateCanBeSent(t *testing.T) {
	template, err := NewTemplate("joingroup", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(template.json); !strings.Contains(s, `"instanceId":null`) || !strings.Contains(s, `"protocols":[{"name":"","metadata":""}]`) {
		t.Errorf("%s", s)
	}
	if _, err := decode(template.json, kmsg.NewPtrJoinGroupRequest()); err != nil {
		t.Error(err)
	}
}

func TestARequestLogsInFirst(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256"} {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "me", "hush"), kfake.SeedTopics(1, "orders"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		target := cli.Target{Bootstrap: c.ListenAddrs(), Timeout: 5 * time.Second, SASL: cli.SASL{Mechanism: mechanism, User: "me", Password: "hush"}}
		if a := send(t, target, "Metadata", ""); !strings.Contains(string(a.json), `"topic":"orders"`) {
			t.Errorf("%s: %s", mechanism, a.json)
		}
		target.SASL.Password = "wrong"
		if _, err := Request(t.Context(), target, RequestOptions{API: "Metadata"}); err == nil || !strings.Contains(err.Error(), "SASL") {
			t.Errorf("%s, wrong password: %v", mechanism, err)
		}
	}
}
