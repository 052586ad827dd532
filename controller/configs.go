package controller

import (
	"maps"
	"slices"
	"strconv"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/kafkaproto"
)

// maxConfigValue bounds one config value.
const maxConfigValue = 1 << 20

func (d *decision) changeConfigs(c ChangeConfigs) []ChangeConfigsAnswer {
	named := map[ConfigResource]int{}
	for _, r := range c.Resources {
		named[ConfigResource{r.Kind, r.Name}]++
	}
	answers := make([]ChangeConfigsAnswer, len(c.Resources))
	for i, r := range c.Resources {
		id := ConfigResource{r.Kind, r.Name}
		answers[i].Resource = id
		if named[id] > 1 {
			answers[i].Err = kafkaproto.ErrInvalidRequest.With("Each resource must appear at most once.")
			continue
		}
		answers[i].Err = d.changeConfig(id, r)
	}
	if c.ValidateOnly {
		d.events = nil
	}
	return answers
}

// changeConfig changes all that is asked of one resource, or nothing. A change that sets what is set already is no event.
func (d *decision) changeConfig(id ConfigResource, c ChangeConfig) error {
	if err := d.checkResource(id); err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(c.Set))
	for _, key := range keys {
		if v := c.Set[key]; v != nil {
			if err := validateConfig(id.Kind, key, *v); err != nil {
				return err
			}
		}
	}
	now := d.img.Config(id.Kind, id.Name)
	for _, key := range keys {
		old, had := now[key]
		v := c.Set[key]
		if v == nil && had || v != nil && (!had || old != *v) {
			d.emit(&ConfigChanged{Resource: id, Key: key, Value: v})
		}
	}
	if c.Full {
		for _, key := range slices.Sorted(maps.Keys(now)) {
			if _, named := c.Set[key]; !named {
				d.emit(&ConfigChanged{Resource: id, Key: key})
			}
		}
	}
	return nil
}

func (d *decision) checkResource(id ConfigResource) error {
	switch id.Kind {
	case TopicConfig:
		if err := ValidateTopicName(id.Name); err != nil {
			return err
		}
		if _, ok := d.img.Topic(id.Name); !ok {
			return kafkaproto.ErrUnknownTopicOrPartition.With("The topic '%s' does not exist.", id.Name)
		}
		return nil
	case BrokerConfig:
		if id.Name == "" {
			return nil
		}
		n, err := strconv.ParseInt(id.Name, 10, 32)
		if err != nil || n < 0 {
			return kafkaproto.ErrInvalidRequest.With("The broker id '%s' is not a number.", id.Name)
		}
		if _, ok := d.img.Broker(int32(n)); !ok {
			return kafkaproto.ErrBrokerIDNotRegistered.With("No broker with id %d found.", n)
		}
		return nil
	case GroupConfig, ClientMetricsConfig:
		if id.Name == "" {
			return kafkaproto.ErrInvalidRequest.With("The name of the resource is empty.")
		}
		return nil
	}
	return kafkaproto.ErrInvalidRequest.With("Unexpected resource type %d.", id.Kind)
}

func validateConfig(kind ConfigKind, key, value string) error {
	if len(value) > maxConfigValue {
		return kafkaproto.ErrInvalidConfig.With("The value of %s is longer than %d bytes.", key, maxConfigValue)
	}
	if kind != TopicConfig {
		return nil // the broker that takes the request knows which of its keys may change while it runs
	}
	return validateTopicConfig(key, value)
}

// validateTopicConfig is the one place that asks package config.
func validateTopicConfig(key, value string) error {
	if err := config.ValidateTopic(key, value); err != nil {
		return kafkaproto.ErrInvalidConfig.With("%w", err)
	}
	return nil
}
