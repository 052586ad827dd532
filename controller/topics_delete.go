package controller

import "github.com/streambus/streambus/kafkaproto"

func (d *decision) deleteTopics(c DeleteTopics) []DeleteTopicAnswer {
	names, ids := map[string]int{}, map[kafkaproto.TopicID]int{}
	for _, t := range c.Topics {
		names[t.Name]++
		ids[t.ID]++
	}
	deleted := map[kafkaproto.TopicID]bool{}
	answers := make([]DeleteTopicAnswer, len(c.Topics))
	for i, row := range c.Topics {
		answers[i] = DeleteTopicAnswer{Name: row.Name, ID: row.ID}
		t, err := d.findForDelete(row, names, ids)
		if err == nil && deleted[t.ID] {
			err = kafkaproto.ErrInvalidRequest.With("The provided topic name maps to an ID that was already supplied.")
		}
		if err != nil {
			answers[i].Err = err
			continue
		}
		deleted[t.ID] = true
		answers[i].Name, answers[i].ID = t.Name, t.ID
		d.emit(&TopicDeleted{ID: t.ID})
	}
	return answers
}

func (d *decision) findForDelete(row DeleteTopic, names map[string]int, ids map[kafkaproto.TopicID]int) (*Topic, error) {
	none := kafkaproto.TopicID{}
	bad := kafkaproto.ErrInvalidRequest
	switch {
	case row.Name != "" && row.ID != none:
		return nil, bad.With("You may not specify both topic name and topic id.")
	case row.Name == "" && row.ID == none:
		return nil, bad.With("Neither topic name nor id were specified.")
	case row.Name != "" && names[row.Name] > 1:
		return nil, bad.With("Duplicate topic name.")
	case row.ID != none && ids[row.ID] > 1:
		return nil, bad.With("Duplicate topic id.")
	}
	if row.Name != "" {
		if t, ok := d.img.Topic(row.Name); ok {
			return t, nil
		}
		return nil, kafkaproto.ErrUnknownTopicOrPartition
	}
	if t, ok := d.img.TopicByID(row.ID); ok {
		return t, nil
	}
	return nil, kafkaproto.ErrUnknownTopicID
}
