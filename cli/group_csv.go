package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// readResetFile reads what --export and kafka-consumer-groups write: TOPIC,PARTITION,OFFSET, which are those of group, or
// GROUP,TOPIC,PARTITION,OFFSET. group is empty if several are to be reset; then each line must name its own.
func readResetFile(r io.Reader, group string) (map[string]map[topicPartition]int64, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	in.TrimLeadingSpace = true
	plan := map[string]map[topicPartition]int64{}
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return plan, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		of := group
		if len(fields) == 4 {
			of, fields = fields[0], fields[1:]
		}
		if len(fields) != 3 || of == "" {
			return nil, fmt.Errorf("line %d is not TOPIC,PARTITION,OFFSET (of one group) or GROUP,TOPIC,PARTITION,OFFSET", line)
		}
		partition, err := strconv.ParseInt(fields[1], 10, 32)
		if err != nil || partition < 0 {
			return nil, fmt.Errorf("line %d: %q is not a partition", line, fields[1])
		}
		offset, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is not an offset", line, fields[2])
		}
		if plan[of] == nil {
			plan[of] = map[topicPartition]int64{}
		}
		plan[of][topicPartition{fields[0], int32(partition)}] = offset
	}
}

// CSV is the reset as --from-file reads it: without the group if there is only one, as Kafka writes it.
func (r *OffsetReset) CSV() Printable { return (*resetCSV)(r) }

type resetCSV OffsetReset

// WriteTable writes the lines.
func (r *resetCSV) WriteTable(w io.Writer) error {
	out := csv.NewWriter(w)
	for _, o := range r.Offsets {
		row := []string{o.Group, o.Topic, strconv.Itoa(int(o.Partition)), strconv.FormatInt(o.Offset, 10)}
		if r.oneGroup {
			row = row[1:]
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
