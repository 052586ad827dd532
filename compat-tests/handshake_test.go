package compat

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	unsupportedVersion = 35
	invalidRequest     = 42
)

func apiVersions(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = version
	req.ClientSoftwareName, req.ClientSoftwareVersion = "compat", "1.0"
	return req
}

// TestUnknownApiVersionsVersion: error 35 in the form of version 0 with the range of key 18 alone, and the connection goes
// on.
func TestUnknownApiVersionsVersion(t *testing.T) {
	b := startBroker(t)
	w := openWire(t, b.addr)
	for _, version := range []int16{99, 32767} {
		w.correlation++
		frame := binary.BigEndian.AppendUint16(nil, 18)
		frame = binary.BigEndian.AppendUint16(frame, uint16(version))
		frame = binary.BigEndian.AppendUint32(frame, uint32(w.correlation))
		frame = append(frame, "\x00\x06compat\x00\x05what\x041.0\x00"...)
		if _, err := w.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			t.Fatal(err)
		}
		answer, err := w.receive(apiVersions(0), w.correlation)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		resp := answer.(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode != unsupportedVersion {
			t.Errorf("version %d: code %d", version, resp.ErrorCode)
		}
		if len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MaxVersion < 3 {
			t.Errorf("version %d: keys %v, want the range of key 18 alone", version, resp.ApiKeys)
		}
	}
	if resp := w.must(t, apiVersions(3)).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 || len(resp.ApiKeys) < 10 {
		t.Errorf("asked again: code %d, %d keys", resp.ErrorCode, len(resp.ApiKeys))
	}
}

// TestEveryServedVersionHasItsForm asks every version of every key that is served; each answer parses, to its end, with
// the headers of its version.
func TestEveryServedVersionHasItsForm(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "form", 2)
	for _, k := range servedVersions(t, b) {
		if k.ApiKey > 75 || kmsg.RequestForKey(k.ApiKey) == nil {
			continue
		}
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			if k.ApiKey == 0 && v < 3 || k.ApiKey == 36 || k.ApiKey == 17 {
				continue // message sets have a test of their own; authentication has no listener here
			}
			w := openWire(t, b.addr)
			req := kmsg.RequestForKey(k.ApiKey)
			req.SetVersion(v)
			fill(reflect.ValueOf(req).Elem(), "form")
			harmless(req)
			correlation, err := w.send(req)
			if err != nil {
				t.Fatal(err)
			}
			frame, err := w.readFrame()
			if err != nil {
				t.Errorf("%s v%d: %v", kmsg.NameForKey(k.ApiKey), v, err)
				continue
			}
			checkForm(t, req, frame, correlation)
			w.close()
		}
	}
}

// harmless takes out what fill put in that would change what is asked.
func harmless(req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		req.ClientSoftwareName, req.ClientSoftwareVersion = "compat", "1"
	case *kmsg.ProduceRequest:
		req.TransactionID = nil
	case *kmsg.DeleteTopicsRequest:
		req.TopicNames = []string{"absent"}
		absent := "absent"
		for i := range req.Topics {
			req.Topics[i].Topic = &absent
		}
	case *kmsg.FetchRequest:
		req.SessionID, req.SessionEpoch, req.ReplicaID = 0, -1, -1
		req.ReplicaState, req.ClusterID = kmsg.NewFetchRequestReplicaState(), nil // a follower's
		for i := range req.Topics {
			p := kmsg.NewFetchRequestTopicPartition()
			p.PartitionMaxBytes = 1 << 20
			req.Topics[i].Partitions = []kmsg.FetchRequestTopicPartition{p}
		}
	}
}

// checkForm encodes what was parsed again: the same bytes mean that the header was right and nothing is left over.
func checkForm(t *testing.T, req kmsg.Request, frame []byte, correlation int32) {
	t.Helper()
	name := kmsg.NameForKey(req.Key())
	if got := int32(binary.BigEndian.Uint32(frame)); got != correlation {
		t.Errorf("%s v%d: correlation id %d, want %d", name, req.GetVersion(), got, correlation)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != 18 {
		if body[0] != 0 {
			t.Errorf("%s v%d: no tag section in the header", name, req.GetVersion())
			return
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Errorf("%s v%d: %v", name, req.GetVersion(), err)
		return
	}
	if again := resp.AppendTo(nil); len(again) != len(body) {
		t.Errorf("%s v%d: %d bytes, of which %d parse", name, req.GetVersion(), len(body), len(again))
	}
}

// TestAdvertisedRanges: from the versions that old clients begin with to those of Kafka 4.3.1, consistent with each other.
func TestAdvertisedRanges(t *testing.T) {
	b := startBroker(t)
	served := map[int16]kmsg.ApiVersionsResponseApiKey{}
	for _, k := range servedVersions(t, b) {
		served[k.ApiKey] = k
		if k.MinVersion > k.MaxVersion || k.MinVersion < 0 {
			t.Errorf("%s: %d to %d", kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion)
		}
	}
	t.Run("as Kafka 4.3.1 or wider", func(t *testing.T) {
		for key, want := range kafkaRanges {
			k, ok := served[key]
			if !ok {
				continue
			}
			if k.MinVersion > want.from || k.MaxVersion != want.to {
				t.Errorf("%s: %d to %d, Kafka has %d to %d", kmsg.NameForKey(key), k.MinVersion, k.MaxVersion, want.from, want.to)
			}
		}
	})
	t.Run("Produce from 0", func(t *testing.T) {
		if k := served[0]; k.MinVersion != 0 {
			t.Errorf("Produce from %d: librdkafka stops compressing", k.MinVersion)
		}
	})
	t.Run("old Metadata and Fetch", func(t *testing.T) {
		notKafka(t)
		for key, most := range map[int16]int16{1: 0, 2: 0, 3: 0} {
			if k := served[key]; k.MinVersion > most {
				t.Errorf("%s from %d", kmsg.NameForKey(key), k.MinVersion)
			}
		}
	})
	t.Run("topic ids need Metadata 10", func(t *testing.T) {
		if (served[0].MaxVersion >= 13 || served[1].MaxVersion >= 13) && served[3].MaxVersion < 10 {
			t.Errorf("Produce to %d, Fetch to %d, but Metadata to %d", served[0].MaxVersion, served[1].MaxVersion, served[3].MaxVersion)
		}
	})
	t.Run("floors of new clients", func(t *testing.T) {
		for key, least := range map[int16]int16{0: 7, 1: 11, 2: 5, 3: 9, 18: 3, 22: 4} {
			if k, ok := served[key]; !ok || k.MaxVersion < least {
				t.Errorf("%s to %d, new clients want %d", kmsg.NameForKey(key), k.MaxVersion, least)
			}
		}
	})
	t.Run("nothing between brokers", func(t *testing.T) {
		for _, key := range []int16{4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82} {
			if _, ok := served[key]; ok {
				t.Errorf("key %d is served on a client listener", key)
			}
		}
	})
}

// TestUnservedRequestGetsAnAnswer: a key or version that isn't served gets UNSUPPORTED_VERSION in a form the client can
// read, and the connection goes on.
func TestUnservedRequestGetsAnAnswer(t *testing.T) {
	notKafka(t) // it closes the connection
	b := startBroker(t)
	served := map[int16]bool{}
	for _, k := range servedVersions(t, b) {
		served[k.ApiKey] = true
	}
	w := openWire(t, b.addr)
	for _, req := range []kmsg.Request{
		kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrEndTxnRequest(),
		kmsg.NewPtrConsumerGroupHeartbeatRequest(), kmsg.NewPtrListGroupsRequest(), kmsg.NewPtrCreateACLsRequest(),
	} {
		if served[req.Key()] {
			continue
		}
		req.SetVersion(min(2, req.MaxVersion()))
		resp := w.must(t, req)
		code := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode")
		if code.IsValid() && code.Int() != unsupportedVersion {
			t.Errorf("%s: code %d, want UNSUPPORTED_VERSION", kmsg.NameForKey(req.Key()), code.Int())
		}
	}
	if resp := w.must(t, apiVersions(3)).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
		t.Errorf("afterwards: code %d", resp.ErrorCode)
	}
}

func TestClientSoftwareNameIsChecked(t *testing.T) {
	b := startBroker(t)
	w := openWire(t, b.addr)
	for _, name := range []string{"", "-a", "a b", "a_b", "a/"} {
		req := apiVersions(3)
		req.ClientSoftwareName = name
		if resp := w.must(t, req).(*kmsg.ApiVersionsResponse); resp.ErrorCode != invalidRequest {
			t.Errorf("name %q: code %d, want INVALID_REQUEST", name, resp.ErrorCode)
		}
		req = apiVersions(3)
		req.ClientSoftwareVersion = name
		if resp := w.must(t, req).(*kmsg.ApiVersionsResponse); resp.ErrorCode != invalidRequest {
			t.Errorf("version %q: code %d, want INVALID_REQUEST", name, resp.ErrorCode)
		}
	}
	if resp := w.must(t, apiVersions(3)).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
		t.Errorf("afterwards: code %d", resp.ErrorCode)
	}
}

// TestFeatures: supported and finalized features come from the metadata with their epoch; version 3 leaves out those
// whose minimum is 0.
func TestFeatures(t *testing.T) {
	b := startBroker(t)
	w := openWire(t, b.addr)
	v4 := w.must(t, apiVersions(4)).(*kmsg.ApiVersionsResponse)
	v3 := w.must(t, apiVersions(3)).(*kmsg.ApiVersionsResponse)
	if v4.FinalizedFeaturesEpoch < 0 {
		t.Errorf("epoch %d", v4.FinalizedFeaturesEpoch)
	}
	supported := map[string]kmsg.ApiVersionsResponseSupportedFeature{}
	for _, f := range v4.SupportedFeatures {
		supported[f.Name] = f
	}
	finalized := map[string]int16{}
	for _, f := range v4.FinalizedFeatures {
		finalized[f.Name] = f.MaxVersionLevel
		if s, ok := supported[f.Name]; !ok || f.MaxVersionLevel > s.MaxVersion {
			t.Errorf("%s is finalized at %d, supported to %d", f.Name, f.MaxVersionLevel, s.MaxVersion)
		}
	}
	if finalized["metadata.version"] != 30 || finalized["kraft.version"] != 1 {
		if !againstKafka { // a static quorum has kraft.version 0
			t.Errorf("finalized: %v", finalized)
		}
	}
	for _, name := range []string{"transaction.version", "group.version", "share.version", "streams.version"} {
		if _, ok := supported[name]; !ok {
			t.Errorf("%s is not supported", name)
		}
	}
	for _, f := range v3.SupportedFeatures {
		if f.MinVersion == 0 {
			t.Errorf("version 3 lists %s with minimum 0", f.Name)
		}
	}
	if len(v4.SupportedFeatures) <= len(v3.SupportedFeatures) {
		t.Errorf("version 4 lists %d features, version 3 %d", len(v4.SupportedFeatures), len(v3.SupportedFeatures))
	}
}

// TestAnswersComeInTheOrderOfRequests, also behind a Fetch that waits.
func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "order", 1)
	w := openWire(t, b.addr)
	wait := fetchRequest("order", 0, 0)
	wait.MaxWaitMillis = 700
	began := time.Now()
	requests := []kmsg.Request{wait, produceRequest("order", 0, recordBatch([]byte("late"))), apiVersions(3), fetchRequest("order", 0, 0)}
	var correlations []int32
	for _, req := range requests {
		id, err := w.send(req)
		if err != nil {
			t.Fatal(err)
		}
		correlations = append(correlations, id)
	}
	for i, req := range requests {
		resp, err := w.receive(req, correlations[i])
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if i == 3 && len(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Error("the last fetch does not see what was produced before it")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// kafkaRanges is what Apache Kafka 4.3.1 advertises.
var kafkaRanges = map[int16]struct{ from, to int16 }{
	0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 8: {2, 10}, 9: {1, 10}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5},
	14: {0, 5}, 15: {0, 6}, 16: {0, 5}, 17: {0, 1}, 18: {0, 4}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4},
	24: {0, 5}, 25: {0, 4}, 26: {0, 5}, 27: {1, 2}, 28: {0, 5}, 29: {1, 3}, 30: {1, 3}, 31: {1, 3}, 32: {1, 4}, 33: {0, 2},
	34: {1, 2}, 35: {1, 5}, 36: {0, 2}, 37: {0, 3}, 38: {1, 3}, 39: {1, 2}, 40: {1, 2}, 41: {1, 3}, 42: {0, 2}, 43: {0, 2},
	44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 49: {0, 1}, 50: {0, 0}, 51: {0, 0}, 55: {0, 2}, 57: {0, 2},
	60: {0, 2}, 61: {0, 0}, 64: {0, 0}, 65: {0, 0}, 66: {0, 2}, 68: {0, 1}, 69: {0, 1}, 71: {0, 0}, 72: {0, 0}, 74: {0, 1},
	75: {0, 0}, 76: {1, 1}, 77: {1, 1}, 78: {1, 2}, 79: {1, 2}, 80: {0, 1}, 81: {0, 0}, 83: {0, 0}, 84: {0, 0}, 85: {0, 1},
	86: {0, 0}, 87: {0, 1}, 88: {0, 0}, 89: {0, 0}, 90: {0, 1}, 91: {0, 0}, 92: {0, 0},
}
