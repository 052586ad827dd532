package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConfigKinds are what has a configuration, as commands call it.
var ConfigKinds = []string{"topic", "broker", "broker-logger", "client-metrics", "group"}

var configTypes = map[string]kmsg.ConfigResourceType{
	"topic":          kmsg.ConfigResourceTypeTopic,
	"broker":         kmsg.ConfigResourceTypeBroker,
	"broker-logger":  kmsg.ConfigResourceTypeBrokerLogger,
	"client-metrics": kmsg.ConfigResourceTypeClientMetrics,
	"group":          kmsg.ConfigResourceTypeGroupConfig,
}

// ConfigResource is one thing with a configuration. A broker without a name stands for all brokers: the cluster's dynamic
// default.
type ConfigResource struct {
	Kind string // one of ConfigKinds; Kafka's plurals are understood too
	Name string
}

func (r ConfigResource) String() string {
	if r.Name == "" {
		return r.Kind + " default"
	}
	return r.Kind + " " + r.Name
}

// ParseConfigResource checks kind and name. The error is a UsageError.
func ParseConfigResource(kind, name string) (ConfigResource, error) {
	kind, err := parseConfigKind(kind)
	if err != nil {
		return ConfigResource{}, err
	}
	r := ConfigResource{kind, name}
	switch kind {
	case "broker", "broker-logger":
		if name == "" && kind == "broker" {
			return r, nil
		}
		if id, err := strconv.ParseInt(name, 10, 32); err != nil || id < 0 {
			return r, usagef("%s %q: the name of a broker is its number", kind, name)
		}
	default:
		if name == "" {
			return r, usagef("a %s without a name has no configuration", kind)
		}
	}
	return r, nil
}

func parseConfigKind(kind string) (string, error) {
	for _, k := range ConfigKinds {
		if kind == k || kind == k+"s" {
			return k, nil
		}
	}
	return "", unknownName("kind of resource", kind, ConfigKinds)
}

func (r ConfigResource) kmsgType() kmsg.ConfigResourceType { return configTypes[r.Kind] }

// everyResource lists all resources of a kind: topics and brokers from the metadata, the others by ListConfigResources
// (key 74).
func everyResource(ctx context.Context, admin *kadm.Client, kind string) ([]ConfigResource, error) {
	var list []ConfigResource
	switch kind {
	case "topic":
		details, err := admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, err
		}
		details.FilterInternal()
		for _, name := range details.Names() {
			list = append(list, ConfigResource{kind, name})
		}
	case "broker", "broker-logger":
		brokers, err := admin.ListBrokers(ctx)
		if err != nil {
			return nil, err
		}
		for _, b := range brokers {
			list = append(list, ConfigResource{kind, strconv.Itoa(int(b.NodeID))})
		}
	default:
		resources, err := admin.ListConfigResources(ctx, kadm.ConfigResourceType(configTypes[kind]))
		if err = errors.Join(err, resources.Err); err != nil {
			return nil, fmt.Errorf("list %ss: %w", kind, err)
		}
		for _, name := range resources.Names() {
			list = append(list, ConfigResource{kind, name})
		}
	}
	return list, nil
}

// configEntry is a property as the broker describes it.
type configEntry = kmsg.DescribeConfigsResponseResourceConfig

// fetchConfigs asks for the configurations of resources (DescribeConfigs, key 32); each comes sorted by key. What came is
// returned even if the error, which joins those of the others, is not nil.
func fetchConfigs(ctx context.Context, client *kgo.Client, resources []ConfigResource, documented bool) (map[ConfigResource][]configEntry, error) {
	if len(resources) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, documented
	kinds := map[kmsg.ConfigResourceType]string{}
	for _, r := range resources {
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = r.kmsgType(), r.Name
		req.Resources = append(req.Resources, rr)
		kinds[r.kmsgType()] = r.Kind
	}
	found := map[ConfigResource][]configEntry{}
	var errs []error
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			for _, r := range shard.Req.(*kmsg.DescribeConfigsRequest).Resources {
				errs = append(errs, fmt.Errorf("describe configs of %v: %w", ConfigResource{kinds[r.ResourceType], r.ResourceName}, shard.Err))
			}
			continue
		}
		for _, answer := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			r := ConfigResource{kinds[answer.ResourceType], answer.ResourceName}
			if err := kafkaError(answer.ErrorCode, answer.ErrorMessage); err != nil {
				errs = append(errs, fmt.Errorf("describe configs of %v: %w", r, err))
				continue
			}
			slices.SortFunc(answer.Configs, func(a, b configEntry) int { return strings.Compare(a.Name, b.Name) })
			found[r] = answer.Configs
		}
	}
	if len(errs) == 0 && len(found) == 0 {
		errs = append(errs, errors.New("describe configs: the broker answered nothing"))
	}
	return found, errors.Join(errs...)
}

// defaultOf is the value that counts when nothing is set anywhere.
func defaultOf(e *configEntry) *string {
	if e.Source == kmsg.ConfigSourceDefaultConfig {
		return e.Value
	}
	for _, s := range e.ConfigSynonyms {
		if s.Source == kmsg.ConfigSourceDefaultConfig {
			return s.Value
		}
	}
	return nil
}

// ConfigNames lists the names of all resources of a kind, for the shell.
func ConfigNames(ctx context.Context, t Target, kind string) ([]string, error) {
	kind, err := parseConfigKind(kind)
	if err != nil {
		return nil, err
	}
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	resources, err := everyResource(ctx, admin, kind)
	names := make([]string, len(resources))
	for i, r := range resources {
		names[i] = r.Name
	}
	return names, err
}
