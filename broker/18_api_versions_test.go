package broker

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// unknownVersion is a request header of key in a version that doesn't exist, with something behind it.
func unknownVersion(key, version int16) []byte {
	return append(frameHeader(key, version, 14), 1, 2, 3, 4)
}

func TestUnknownApiVersionsVersionGetsTheRangeOfKey18InTheOldestForm(t *testing.T) {
	b := startServer(t, nil)
	for _, version := range []int16{5, 99, 32767, -1} {
		c := b.dial()
		c.sendRaw(unknownVersion(keyAPIVersions, version))
		_, body := c.frame()
		resp := kmsg.NewPtrApiVersionsResponse()
		must(t, resp.ReadFrom(body))
		if resp.ErrorCode != kafkaproto.ErrUnsupportedVersion.Num || len(resp.ApiKeys) != 1 ||
			resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MinVersion != 0 || resp.ApiKeys[0].MaxVersion != 4 {
			t.Errorf("version %d: got %+v", version, resp)
		}
		if len(body) != 2+4+6 {
			t.Errorf("version %d: a body of %d bytes", version, len(body))
		}
		again := ask[*kmsg.ApiVersionsResponse](c, apiVersionsRequest(4)) // and the connection is still good
		if again.ErrorCode != 0 || len(again.ApiKeys) < 3 {
			t.Errorf("asked again: got %+v", again)
		}
	}
}

func TestApiVersionsAnswersWithHeaderVersionZero(t *testing.T) {
	c := startServer(t, nil).dial()
	for version := int16(0); version <= 4; version++ {
		c.send(apiVersionsRequest(version))
		_, body := c.frame()
		if code := binary.BigEndian.Uint16(body); code != 0 { // with header version 1 an empty set of tags stood here
			t.Errorf("version %d: the error code reads %d", version, code)
		}
	}
}

func TestApiVersionsListsTheTableOfServedKeys(t *testing.T) {
	b := startServer(t, nil)
	resp := ask[*kmsg.ApiVersionsResponse](b.dial(), apiVersionsRequest(4))
	if len(resp.ApiKeys) != len(apis) {
		t.Fatalf("%d keys, want %d", len(resp.ApiKeys), len(apis))
	}
	got := map[int16]kmsg.ApiVersionsResponseApiKey{}
	for i, k := range resp.ApiKeys {
		got[k.ApiKey] = k
		if i > 0 && resp.ApiKeys[i-1].ApiKey >= k.ApiKey {
			t.Errorf("key %d is not in order", k.ApiKey)
		}
	}
	for _, a := range apis {
		if k := got[a.key]; k.MinVersion != a.minVersion || k.MaxVersion != a.maxVersion {
			t.Errorf("%s: got %+v", a.name, k)
		}
	}
	for _, key := range []int16{52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82} {
		if _, ok := got[key]; ok {
			t.Errorf("key %d is for controllers and brokers only", key)
		}
	}
}

func TestOldVersionsThatClientsHardCodeAreServed(t *testing.T) {
	resp := ask[*kmsg.ApiVersionsResponse](startServer(t, nil).dial(), apiVersionsRequest(3))
	want := map[int16][2]int16{0: {0, 13}, 1: {0, 18}, 3: {0, 13}, 2: {0, 11}}
	for _, k := range resp.ApiKeys {
		if w, ok := want[k.ApiKey]; ok && (k.MinVersion != w[0] || k.MaxVersion < w[1]) {
			t.Errorf("key %d is served from %d to %d", k.ApiKey, k.MinVersion, k.MaxVersion)
		}
	}
}

func TestTopicIDsAreUnderstoodByAllKeysOfWhichOneNeedsThem(t *testing.T) {
	resp := ask[*kmsg.ApiVersionsResponse](startServer(t, nil).dial(), apiVersionsRequest(3))
	max := map[int16]int16{}
	for _, k := range resp.ApiKeys {
		max[k.ApiKey] = k.MaxVersion
	}
	if metadata, served := max[3]; served && (max[0] >= 13 || max[1] >= 13) && metadata < 10 {
		t.Errorf("Produce %d and Fetch %d take topic ids, but Metadata %d doesn't give them", max[0], max[1], metadata)
	}
}

func TestClientSoftwareNamesAreChecked(t *testing.T) {
	c := startServer(t, nil).dial()
	tests := []struct {
		name, version string
		ok            bool
	}{
		{"librdkafka", "2.3.0", true}, {"a", "1", true}, {"apache-kafka-java", "4.3.1", true}, {"a.b-c", "v1", true},
		{"", "1", false}, {"a", "", false}, {"-a", "1", false}, {"a-", "1", false}, {"a b", "1", false}, {"a", "1\n", false},
	}
	for _, test := range tests {
		for _, version := range []int16{3, 4} {
			req := apiVersionsRequest(version)
			req.ClientSoftwareName, req.ClientSoftwareVersion = test.name, test.version
			resp := ask[*kmsg.ApiVersionsResponse](c, req)
			if want := kafkaproto.ErrInvalidRequest.Num; (resp.ErrorCode == 0) != test.ok || !test.ok && resp.ErrorCode != want {
				t.Errorf("%q %q: error code %d", test.name, test.version, resp.ErrorCode)
			}
		}
	}
}

func TestFeaturesSupportedFromZeroAreLeftOutOfVersion3(t *testing.T) {
	c := startServer(t, nil).dial()
	for _, version := range []int16{3, 4} {
		resp := ask[*kmsg.ApiVersionsResponse](c, apiVersionsRequest(version))
		supported := map[string][2]int16{}
		for _, f := range resp.SupportedFeatures {
			supported[f.Name] = [2]int16{f.MinVersion, f.MaxVersion}
		}
		if f := supported["metadata.version"]; f[0] < 1 || f[1] != 30 {
			t.Errorf("version %d: metadata.version %v", version, f)
		}
		for _, name := range []string{"transaction.version", "group.version", "share.version", "streams.version", "kraft.version"} {
			if _, ok := supported[name]; ok != (version == 4) {
				t.Errorf("version %d lists %s: %v", version, name, ok)
			}
		}
	}
}

func TestFinalizedFeaturesAndTheirEpochComeFromTheMetadata(t *testing.T) {
	b := startServer(t, nil)
	resp := ask[*kmsg.ApiVersionsResponse](b.dial(), apiVersionsRequest(3))
	got := map[string]int16{}
	for _, f := range resp.FinalizedFeatures {
		got[f.Name] = f.MaxVersionLevel
	}
	if len(got) != 3 || got["metadata.version"] != 30 || got["kraft.version"] != 1 || got["eligible.leader.replicas.version"] != 1 {
		t.Errorf("finalized: %v", got)
	}
	if resp.FinalizedFeaturesEpoch != b.quorum.Image().FeaturesEpoch() || resp.FinalizedFeaturesEpoch < 0 {
		t.Errorf("epoch %d", resp.FinalizedFeaturesEpoch)
	}
}
