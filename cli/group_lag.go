package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// addLag fills in the partitions of groups: what is committed (OffsetFetch of all groups), where the logs end
// (ListOffsets of all their topics), and who has been assigned them.
func addLag(ctx context.Context, admin *kadm.Client, list GroupDescriptions) error {
	if len(list) == 0 {
		return nil
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Group
	}
	fetched := admin.FetchManyOffsets(ctx, names...)
	var errs []error
	owned := make([]map[topicPartition]*GroupMember, len(list))
	var all []topicPartition
	for i := range list {
		owned[i] = list[i].assigned()
		if err := fetched[list[i].Group].Err; err != nil {
			errs = append(errs, fmt.Errorf("fetch offsets of group %s: %w", list[i].Group, err))
		}
		fetched[list[i].Group].Fetched.Each(func(o kadm.OffsetResponse) {
			p := topicPartition{o.Topic, o.Partition}
			if _, ok := owned[i][p]; !ok && (o.At >= 0 || o.Err != nil) {
				owned[i][p] = nil
			}
		})
		all = append(all, sortedKeys(owned[i])...)
	}
	ends, err := endOffsets(ctx, admin, topicsOf(all))
	for i := range list {
		list[i].addPartitions(owned[i], fetched[list[i].Group].Fetched, ends, shardError(err))
	}
	return errors.Join(errs...)
}

// endOffsets asks for no topic's rather than for all topics' if there are none.
func endOffsets(ctx context.Context, admin *kadm.Client, topics []string) (kadm.ListedOffsets, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	return admin.ListEndOffsets(ctx, topics...)
}

// assigned are the partitions of all members.
func (d *GroupDescription) assigned() map[topicPartition]*GroupMember {
	owned := map[topicPartition]*GroupMember{}
	for i := range d.Members {
		for topic, partitions := range d.Members[i].Assignment {
			for _, p := range partitions {
				owned[topicPartition{topic, p}] = &d.Members[i]
			}
		}
	}
	return owned
}

func (d *GroupDescription) addPartitions(owned map[topicPartition]*GroupMember, fetched kadm.OffsetResponses, ends kadm.ListedOffsets, listErr error) {
	var total int64
	d.Partitions = []GroupPartition{}
	for _, p := range sortedKeys(owned) {
		row := GroupPartition{Topic: p.topic, Partition: p.partition}
		if m := owned[p]; m != nil {
			row.MemberID, row.Host, row.ClientID = m.MemberID, m.Host, m.ClientID
		}
		var err error
		if row.LogEnd, err = listedOffset(ends, p); err != nil && listErr != nil {
			err = listErr
		}
		if o, ok := fetched.Lookup(p.topic, p.partition); ok && o.Err != nil {
			err = o.Err
		} else if ok && o.At >= 0 {
			row.Committed, row.Metadata = &o.At, o.Metadata
		}
		if err != nil {
			row.Error = oneLine(err.Error())
		}
		if row.Committed != nil && row.LogEnd != nil {
			lag := *row.LogEnd - *row.Committed
			row.Lag = &lag
			total += lag
		}
		d.Partitions = append(d.Partitions, row)
	}
	d.TotalLag = &total
}
