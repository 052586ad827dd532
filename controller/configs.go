package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/kafkaproto"
)

// maxConfigValue bounds one config value, maxEventsPerRequest what one request may change, as Kafka does.
const (
	maxConfigValue      = 1 << 20
	maxEventsPerRequest = 10_000
)

var errTooMuch = kafkaproto.ErrPolicyViolation.With("Unable to perform excessively large batch operation.")

func (d *decision) changeConfigs(c ChangeConfigs) ([]ChangeConfigsAnswer, error) {
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
	if len(d.events) > maxEventsPerRequest {
		return nil, errTooMuch
	}
	if c.ValidateOnly {
		d.events = nil
	}
	if err := d.dropNeedlessELR(); err != nil {
		return nil, err
	}
	return answers, d.electWhereAllowedNow()
}

// changeConfig changes all that is asked of one resource, or nothing. A change that sets what is set already is no event.
func (d *decision) changeConfig(id ConfigResource, c ChangeConfig) error {
	now := d.img.Config(id.Kind, id.Name)
	next, err := c.Resulting(now)
	if err != nil {
		return err
	}
	if err := d.checkConfigs(id, now, next); err != nil {
		return err
	}
	if err := d.checkResource(id); err != nil {
		return err
	}
	keys := maps.Clone(now)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, next)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		old, had := now[key]
		value, has := next[key]
		switch {
		case !has:
			d.emit(&ConfigChanged{Resource: id, Key: key})
		case !had || old != value:
			d.emit(&ConfigChanged{Resource: id, Key: key, Value: &value})
		}
	}
	return nil
}

// electWhereAllowedNow gives partitions without a leader one, where the change allows unclean elections.
func (d *decision) electWhereAllowedNow() error {
	if !slices.ContainsFunc(d.events, func(e Event) bool {
		c, ok := e.(*ConfigChanged)
		return ok && c.Key == uncleanElection
	}) {
		return nil
	}
	if err := d.settle(); err != nil {
		return err
	}
	e := d.election()
	for t := range d.img.Topics() {
		for _, p := range t.Partitions {
			if p.Leader != NoLeader {
				continue
			}
			if next := e.next(p, rulesOf(d.img, d.defaults, t)); next != nil && next.Leader != NoLeader {
				d.emit(&PartitionChanged{Topic: t.ID, Partition: *next})
			}
		}
	}
	return nil
}

// Resulting is what is set on the resource after the change, when this is set before. The error is INVALID_CONFIG for APPEND
// or SUBTRACT of what is no list.
func (c ChangeConfig) Resulting(now map[string]string) (map[string]string, error) {
	next := map[string]string{}
	if !c.Full {
		maps.Copy(next, now)
	}
	for key, value := range c.Set {
		if value == nil {
			delete(next, key)
		} else {
			next[key] = *value
		}
	}
	for key, value := range c.Append {
		list, err := listNow(c.Kind, now, key, "APPEND")
		if err != nil {
			return nil, err
		}
		for _, element := range strings.Split(value, ",") {
			if !slices.Contains(list, element) {
				list = append(list, element)
			}
		}
		next[key] = strings.Join(list, ",")
	}
	for key, value := range c.Subtract {
		list, err := listNow(c.Kind, now, key, "SUBTRACT")
		if err != nil {
			return nil, err
		}
		for _, element := range strings.Split(value, ",") {
			if i := slices.Index(list, element); i >= 0 {
				list = slices.Delete(list, i, i+1)
			}
		}
		next[key] = strings.Join(list, ",")
	}
	return next, nil
}

// listNow is the list that a change begins from: what is set, else the property's own default, as in Kafka.
func listNow(kind ConfigKind, now map[string]string, key, op string) ([]string, error) {
	find := config.LookupTopic
	if kind == BrokerConfig {
		find = config.Lookup
	}
	k, ok := find(key)
	if !ok || k.Type != config.List || kind != TopicConfig && kind != BrokerConfig {
		return nil, kafkaproto.ErrInvalidConfig.With("Can't %s to key %s because its type is not LIST.", op, key)
	}
	value, set := now[key]
	if !set {
		value = k.Default
	}
	return slices.DeleteFunc(strings.Split(value, ","), func(s string) bool { return s == "" }), nil
}

// checkConfigs checks what a change sets. What depends on a broker's own configuration (the bounds of groups, what a broker
// can change while it runs, topics' properties that don't go together) is checked by the broker that takes the request.
func (d *decision) checkConfigs(id ConfigResource, now, next map[string]string) error {
	if err := checkResourceName(id); err != nil {
		return err
	}
	var changed []string
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if old, had := now[key]; had && old == next[key] {
			continue
		}
		if len(next[key]) > maxConfigValue {
			return kafkaproto.ErrInvalidConfig.With("The value of %s is longer than %d bytes.", key, maxConfigValue)
		}
		changed = append(changed, key)
	}
	switch id.Kind {
	case TopicConfig:
		return validateTopicConfigs(changed, next)
	case BrokerConfig:
		if d.img.Features()[EligibleReplicas] == 0 {
			return nil
		}
		_, had := now[minISR]
		_, has := next[minISR]
		if id.Name == "" && had && !has {
			return kafkaproto.ErrInvalidConfig.With("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
		}
		if id.Name != "" && slices.Contains(changed, minISR) {
			return kafkaproto.ErrInvalidConfig.With("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
		}
	case ClientMetricsConfig:
		request, err := config.CheckClientMetrics(next)
		if request {
			return kafkaproto.ErrInvalidRequest.With("%w", err)
		} else if err != nil {
			return kafkaproto.ErrInvalidConfig.With("%w", err)
		}
	}
	return nil
}

// validateTopicConfigs blames names that nobody knows before values.
func validateTopicConfigs(keys []string, values map[string]string) error {
	for _, key := range keys {
		if _, ok := config.LookupTopic(key); !ok {
			return validateTopicConfig(key, values[key])
		}
	}
	for _, key := range keys {
		if err := validateTopicConfig(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// checkResourceName checks a name alone.
func checkResourceName(id ConfigResource) error {
	switch id.Kind {
	case TopicConfig:
		if id.Name == "" {
			return kafkaproto.ErrInvalidRequest.With("Default topic resources are not allowed.")
		}
		return ValidateTopicName(id.Name)
	case BrokerConfig:
		if id.Name == "" {
			return nil
		}
		n, err := strconv.ParseInt(id.Name, 10, 32)
		if err != nil {
			return kafkaproto.ErrInvalidRequest.With("Unable to parse broker name as a base 10 number.")
		} else if n < 0 {
			return kafkaproto.ErrInvalidRequest.With("Invalid negative broker ID.")
		}
		return nil
	case GroupConfig:
		if id.Name == "" {
			return kafkaproto.ErrInvalidRequest.With("Default group resources are not allowed.")
		}
		return nil
	case ClientMetricsConfig:
		if id.Name == "" {
			return kafkaproto.ErrInvalidRequest.With("Subscription name can't be empty")
		}
		return nil
	}
	return kafkaproto.ErrInvalidRequest.With("Unknown resource type %d", id.Kind)
}

// checkResource checks that the topic or broker is there; its name is good.
func (d *decision) checkResource(id ConfigResource) error {
	switch id.Kind {
	case TopicConfig:
		if _, ok := d.img.Topic(id.Name); !ok {
			return kafkaproto.ErrUnknownTopicOrPartition.With("The topic '%s' does not exist.", id.Name)
		}
	case BrokerConfig:
		if id.Name == "" {
			return nil
		}
		n, _ := strconv.ParseInt(id.Name, 10, 32)
		if _, ok := d.img.Broker(int32(n)); !ok {
			return kafkaproto.ErrBrokerIDNotRegistered.With("No broker with id %d found.", n)
		}
	}
	return nil
}

// validateTopicConfig is the one place that asks package config about a topic's property.
func validateTopicConfig(key, value string) error {
	if err := config.ValidateTopic(key, value); err != nil {
		return kafkaproto.ErrInvalidConfig.With("%w", err)
	}
	return nil
}
