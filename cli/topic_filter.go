package cli

import "slices"

// TopicFilter leaves out what is in order, as flags of the same names do in kafka-topics. Without any of them nothing is
// left out.
type TopicFilter struct {
	UnderReplicated bool // keep partitions with replicas that are not in sync
	Unavailable     bool // keep partitions without a leader
	WithOverrides   bool // keep topics with properties of their own
}

// Filter keeps the partitions, and of topics those with partitions left, that f asks for. A partition that one of two
// filters asks for is kept.
func (l TopicDescriptions) Filter(f TopicFilter) TopicDescriptions {
	if f == (TopicFilter{}) {
		return l
	}
	kept := TopicDescriptions{}
	for _, d := range l {
		if f.WithOverrides && len(d.Configs) == 0 {
			continue
		}
		if f.UnderReplicated || f.Unavailable {
			d.Partitions = slices.DeleteFunc(slices.Clone(d.Partitions), func(p PartitionDescription) bool { return !f.keeps(p) })
			if len(d.Partitions) == 0 {
				continue
			}
		}
		kept = append(kept, d)
	}
	return kept
}

func (f TopicFilter) keeps(p PartitionDescription) bool {
	return f.UnderReplicated && len(p.ISR) < len(p.Replicas) || f.Unavailable && p.Leader < 0
}
