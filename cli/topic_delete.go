package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteTopicsOptions names what to delete.
type DeleteTopicsOptions struct {
	Names    []string
	IfExists bool // a topic that is not there is no error
}

// DeletedTopics are the names that are gone, in the order asked for.
type DeletedTopics struct {
	Deleted []string `json:"deleted"`
	Missing []string `json:"missing,omitempty"` // only with IfExists
}

// WriteTable prints one line a topic.
func (d *DeletedTopics) WriteTable(w io.Writer) error {
	for _, name := range d.Deleted {
		if _, err := fmt.Fprintf(w, "deleted topic %s\n", name); err != nil {
			return err
		}
	}
	for _, name := range d.Missing {
		if _, err := fmt.Fprintf(w, "topic %s does not exist\n", name); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTopics deletes topics by name (DeleteTopics, key 20). What could be deleted is returned even if the error,
// which joins those of all topics, is not nil.
func DeleteTopics(ctx context.Context, t Target, o DeleteTopicsOptions) (*DeletedTopics, error) {
	client, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(t.timeout().Milliseconds())
	req.TopicNames = o.Names
	for _, name := range o.Names {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("delete topics: %w", err)
	}
	return deletedTopics(o, resp)
}

func deletedTopics(o DeleteTopicsOptions, resp *kmsg.DeleteTopicsResponse) (*DeletedTopics, error) {
	d := &DeletedTopics{Deleted: []string{}}
	answers := map[string]error{}
	for i := range resp.Topics {
		r := &resp.Topics[i]
		if r.Topic != nil {
			answers[*r.Topic] = kafkaError(r.ErrorCode, r.ErrorMessage)
		}
	}
	var errs []error
	for _, name := range o.Names {
		err, answered := answers[name]
		switch {
		case !answered:
			errs = append(errs, fmt.Errorf("delete topic %s: the broker did not answer for it", name))
		case err == nil:
			d.Deleted = append(d.Deleted, name)
		case o.IfExists && errors.Is(err, kerr.UnknownTopicOrPartition):
			d.Missing = append(d.Missing, name)
		default:
			errs = append(errs, fmt.Errorf("delete topic %s: %w", name, err))
		}
	}
	return d, errors.Join(errs...)
}
