package broker

// ApiVersions (key 18, versions 0-4): what this broker serves, printed from the table in apis.go.
//
// KIP-511: a version that isn't served is answered with UNSUPPORTED_VERSION in the form of version 0, with the range of
// key 18 alone, so that the client can ask again; the connection stays open. From version 3 the client's name and
// version are checked, and features (KIP-584) go along: those supported, and those finalized in the metadata with their
// epoch. Version 3 leaves out supported features whose minimum is 0, for older Java clients refuse a 0 there; version 4
// lists them. Version 5 (KIP-1242, cluster and node checks) isn't served: Kafka 4.3 doesn't either.

import (
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

const keyAPIVersions = 18

// softwareNames is what KIP-511 allows for a client's name and version.
var softwareNames = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func handleAPIVersions(s *Server, r *request) {
	req := r.req.(*kmsg.ApiVersionsRequest)
	resp := kmsg.NewPtrApiVersionsResponse()
	if req.Version >= 3 {
		if !softwareNames.MatchString(req.ClientSoftwareName) || !softwareNames.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = kafkaproto.ErrInvalidRequest.Num
			r.reply(resp)
			return
		}
		r.conn.software, r.conn.softwareVersion = req.ClientSoftwareName, req.ClientSoftwareVersion
	}
	for _, a := range s.table {
		if a != nil {
			resp.ApiKeys = append(resp.ApiKeys, versionRange(a))
		}
	}
	if req.Version >= 3 {
		s.addFeatures(resp, req.Version)
	}
	r.reply(resp)
}

func versionRange(a *api) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.minVersion, a.maxVersion
	return k
}

// replyUnsupportedAPIVersions is the answer of KIP-511 to a version that isn't served.
func replyUnsupportedAPIVersions(r *request) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kafkaproto.ErrUnsupportedVersion.Num
	resp.ApiKeys = append(resp.ApiKeys, versionRange(r.api))
	r.replyAs(0, resp)
}

// addFeatures adds what this broker can work at, and what the cluster works at (KIP-584).
func (s *Server) addFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	for _, f := range controller.SupportedFeatures() {
		if f.Min > 0 || version >= 4 {
			supported := kmsg.NewApiVersionsResponseSupportedFeature()
			supported.Name, supported.MinVersion, supported.MaxVersion = f.Name, f.Min, f.Max
			resp.SupportedFeatures = append(resp.SupportedFeatures, supported)
		}
	}
	image := s.quorum.Image()
	finalized := image.Features()
	resp.FinalizedFeaturesEpoch = image.FeaturesEpoch()
	for _, name := range slices.Sorted(maps.Keys(finalized)) {
		if finalized[name] == 0 {
			continue // a feature at level 0 is not finalized
		}
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MaxVersionLevel, f.MinVersionLevel = name, finalized[name], finalized[name]
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
}
