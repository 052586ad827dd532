package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

func (s *segmentio) committed(ctx context.Context, group, topic string, partitions []int32) ([]*int64, error) {
	var asked []int
	for _, p := range partitions {
		asked = append(asked, int(p))
	}
	resp, err := s.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: asked}})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return nil, err
	}
	offsets := make([]*int64, len(partitions))
	for i, p := range partitions {
		for _, got := range resp.Topics[topic] {
			if got.Error != nil {
				return nil, got.Error
			}
			if got.Partition == int(p) && got.CommittedOffset >= 0 {
				offsets[i] = &got.CommittedOffset
			}
		}
	}
	return offsets, nil
}

func (s *segmentio) offsetForTime(ctx context.Context, topic string, p int32, ms int64) (*int64, error) {
	offset, err := s.listOffset(ctx, topic, kafka.TimeOffsetOf(int(p), time.UnixMilli(ms)))
	if err != nil || offset < 0 {
		return nil, err
	}
	return &offset, nil
}

func (s *segmentio) describeConfig(ctx context.Context, topic string) (map[string]string, error) {
	resp, err := s.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic},
	}})
	if err != nil {
		return nil, err
	}
	if len(resp.Resources) != 1 {
		return nil, fmt.Errorf("%d resources described", len(resp.Resources))
	}
	configs := map[string]string{}
	for _, e := range resp.Resources[0].ConfigEntries {
		configs[e.ConfigName] = e.ConfigValue
	}
	return configs, resp.Resources[0].Error
}

func (s *segmentio) alterConfig(ctx context.Context, topic string, set map[string]string, del []string) error {
	of := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}
	for k, v := range set {
		of.Configs = append(of.Configs, kafka.IncrementalAlterConfigsRequestConfig{Name: k, Value: v, ConfigOperation: kafka.ConfigOperationSet})
	}
	for _, k := range del {
		of.Configs = append(of.Configs, kafka.IncrementalAlterConfigsRequestConfig{Name: k, ConfigOperation: kafka.ConfigOperationDelete})
	}
	resp, err := s.client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{of},
	})
	if err != nil {
		return err
	}
	if len(resp.Resources) != 1 {
		return fmt.Errorf("%d resources altered", len(resp.Resources))
	}
	return resp.Resources[0].Error
}

func (s *segmentio) deleteRecords(context.Context, string, map[int32]int64) (map[int32]int64, error) {
	return nil, errUnsupported
}

func (s *segmentio) listGroups(ctx context.Context) ([]string, error) {
	resp, err := s.client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, g := range resp.Groups {
		groups = append(groups, g.GroupID)
	}
	return groups, nil
}

func (s *segmentio) describeGroup(ctx context.Context, group string) (string, []string, error) {
	resp, err := s.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return "", nil, err
	}
	if len(resp.Groups) != 1 {
		return "", nil, fmt.Errorf("%d groups described", len(resp.Groups))
	}
	var clients []string
	for _, m := range resp.Groups[0].Members {
		clients = append(clients, m.ClientID)
	}
	return resp.Groups[0].GroupState, clients, resp.Groups[0].Error
}
