package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kadm"
)

// DeleteGroupsOptions names what to delete.
type DeleteGroupsOptions struct {
	Groups   []string
	IfExists bool // a group that is not there is no error
}

// DeletedGroups are the names that are gone, in the order asked for.
type DeletedGroups struct {
	Deleted []string `json:"deleted"`
	Missing []string `json:"missing,omitempty"` // only with IfExists
}

// WriteTable prints one line a group.
func (d *DeletedGroups) WriteTable(w io.Writer) error {
	for _, name := range d.Deleted {
		if _, err := fmt.Fprintf(w, "deleted group %s\n", name); err != nil {
			return err
		}
	}
	for _, name := range d.Missing {
		if _, err := fmt.Fprintf(w, "group %s does not exist\n", name); err != nil {
			return err
		}
	}
	return nil
}

// DeleteGroups deletes groups without members (DeleteGroups, key 42). What could be deleted is returned even if the
// error, which joins those of all groups, is not nil.
func DeleteGroups(ctx context.Context, t Target, o DeleteGroupsOptions) (*DeletedGroups, error) {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	names := distinct(o.Groups)
	answers, err := admin.DeleteGroups(ctx, distinct(names)...)
	d := &DeletedGroups{Deleted: []string{}}
	var errs []error
	for _, name := range names {
		a, answered := answers[name]
		switch {
		case !answered:
			errs = append(errs, fmt.Errorf("delete group %s: %w", name, orMissing(shardError(err))))
		case a.Err == nil:
			d.Deleted = append(d.Deleted, name)
		case o.IfExists && groupMissing(a.Err):
			d.Missing = append(d.Missing, name)
		default:
			errs = append(errs, fmt.Errorf("delete group %s: %w", name, a.Err))
		}
	}
	return d, errors.Join(errs...)
}

// DeletedOffsets says of which partitions a group's offsets are gone.
type DeletedOffsets struct {
	Group   string          `json:"group"`
	Offsets []DeletedOffset `json:"offsets"`
}

// DeletedOffset is one partition; Error is empty if nothing is committed of it now.
type DeletedOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Error     string `json:"error,omitempty"`
}

// WriteTable prints a partition a line.
func (d *DeletedOffsets) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "TOPIC", "PARTITION", "STATUS")
	for _, o := range d.Offsets {
		status := "deleted"
		if o.Error != "" {
			status = o.Error
		}
		t.Row(o.Topic, o.Partition, status)
	}
	return t.Flush()
}

// DeleteGroupOffsets forgets a group's offsets (OffsetDelete, key 47). A broker refuses topics that members of the group
// are subscribed to. The result is returned even if the error, which joins those of all partitions, is not nil.
func DeleteGroupOffsets(ctx context.Context, t Target, group string, selections []PartitionSelection) (*DeletedOffsets, error) {
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	partitions, missing := partitionsOf(ctx, admin, selections)
	if len(partitions) == 0 {
		return nil, missing
	}
	answers, err := admin.DeleteOffsets(ctx, group, topicsSet(partitions))
	if err != nil {
		return nil, fmt.Errorf("delete offsets of group %s: %w", group, err)
	}
	return deletedOffsets(group, partitions, answers, missing)
}

func deletedOffsets(group string, partitions []topicPartition, answers kadm.DeleteOffsetsResponses, missing error) (*DeletedOffsets, error) {
	d := &DeletedOffsets{Group: group, Offsets: []DeletedOffset{}}
	errs := []error{missing}
	for _, p := range partitions {
		row := DeletedOffset{Topic: p.topic, Partition: p.partition}
		err, answered := answers.Lookup(p.topic, p.partition)
		if !answered {
			err = orMissing(nil)
		}
		if err != nil {
			row.Error = oneLine(err.Error())
			errs = append(errs, fmt.Errorf("delete offset of group %s, %v: %w", group, p, err))
		}
		d.Offsets = append(d.Offsets, row)
	}
	return d, errors.Join(errs...)
}
