package controller

import (
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

// Feature is a versioned ability of the cluster (KIP-584).
type Feature struct {
	Name     string
	Min, Max int16 // levels that this version of the program can serve; 0 is off
	Initial  int16 // level of a new cluster; 0: supported, but not finalized
}

// Names of features, as in Kafka.
const (
	MetadataVersion      = "metadata.version"
	KRaftVersion         = "kraft.version"
	TransactionVersion   = "transaction.version"
	GroupVersion         = "group.version"
	ShareVersion         = "share.version"
	StreamsVersion       = "streams.version"
	EligibleReplicas     = "eligible.leader.replicas.version"
	metadataVersion43IV0 = 30
	metadataVersion33IV3 = 7 // the lowest that Kafka 4 can still run
)

// SupportedFeatures lists what ApiVersions advertises, by name.
func SupportedFeatures() []Feature {
	return []Feature{
		{EligibleReplicas, 0, 1, 1},
		{GroupVersion, 0, 1, 0},
		{KRaftVersion, 0, 1, 1},
		{MetadataVersion, metadataVersion33IV3, metadataVersion43IV0, metadataVersion43IV0},
		{ShareVersion, 0, 1, 0},
		{StreamsVersion, 0, 1, 0},
		{TransactionVersion, 0, 2, 0},
	}
}

func supportedFeature(name string) (Feature, bool) {
	for _, f := range SupportedFeatures() {
		if f.Name == name {
			return f, true
		}
	}
	return Feature{}, false
}

func (d *decision) updateFeatures(c UpdateFeatures) error {
	seen := map[string]bool{}
	epoch := d.img.featuresEpoch
	for _, u := range c.Updates {
		if seen[u.Name] {
			return kafkaproto.ErrInvalidRequest.With("The feature %s is named more than once.", u.Name)
		}
		seen[u.Name] = true
		if err := d.checkFeature(u); err != nil {
			return err
		}
		if d.img.features[u.Name] != u.Level {
			if u.Name == EligibleReplicas && u.Level > 0 {
				d.prepareEligibleReplicas()
			}
			epoch++
			d.emit(&FeatureChanged{Name: u.Name, Level: u.Level, Epoch: epoch})
		}
	}
	if c.ValidateOnly {
		d.events = nil
	}
	return nil
}

func (d *decision) checkFeature(u FeatureUpdate) error {
	refused := func(why string) error {
		return kafkaproto.ErrInvalidUpdateVersion.With("Invalid update version %d for feature %s. %s", u.Level, u.Name, why)
	}
	f, ok := supportedFeature(u.Name)
	switch now := d.img.features[u.Name]; {
	case !ok:
		return refused("No broker supports it.")
	case u.Level < f.Min || u.Level > f.Max:
		return refused(fmt.Sprintf("Brokers support levels %d to %d.", f.Min, f.Max))
	case u.Level < now && !u.AllowDowngrade:
		return refused("It would be a downgrade, which was not allowed in the request.")
	case u.Level < now && (u.Name == KRaftVersion || u.Name == MetadataVersion):
		return refused("It can't be downgraded.")
	}
	return nil
}
