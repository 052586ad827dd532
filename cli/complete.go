package cli

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// BrokerConfigKeys lists the properties of brokers, sorted, for the shell (DescribeConfigs, key 32).
func BrokerConfigKeys(ctx context.Context, t Target) ([]string, error) {
	return configKeys(ctx, t, func(admin *kadm.Client) (kadm.ResourceConfigs, error) {
		brokers, err := admin.ListBrokers(ctx)
		if err != nil || len(brokers) == 0 {
			return nil, err
		}
		return admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	})
}

// TopicConfigKeys lists the properties of topics, sorted, for the shell, as those of topic are; of any topic if it is
// empty, because a cluster only tells of topics that are there.
func TopicConfigKeys(ctx context.Context, t Target, topic string) ([]string, error) {
	return configKeys(ctx, t, func(admin *kadm.Client) (kadm.ResourceConfigs, error) {
		if topic == "" {
			topics, err := admin.ListTopicsWithInternal(ctx)
			if err != nil || len(topics) == 0 {
				return nil, err
			}
			topic = topics.Names()[0]
		}
		return admin.DescribeTopicConfigs(ctx, topic)
	})
}

func configKeys(ctx context.Context, t Target, ask func(*kadm.Client) (kadm.ResourceConfigs, error)) ([]string, error) {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	all, err := ask(admin)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range all {
		for _, c := range r.Configs {
			names = append(names, c.Key)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
