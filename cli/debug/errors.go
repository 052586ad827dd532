package debug

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/kafkaproto"
)

// ErrorCode is one of Kafka's.
type ErrorCode struct {
	Code      int16  `json:"code"`
	Name      string `json:"name"`
	Retriable bool   `json:"retriable"`
	Text      string `json:"text"`
}

// ErrorTable is in the order of codes.
type ErrorTable []ErrorCode

// WriteTable prints a code a line.
func (l ErrorTable) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w, "CODE", "NAME", "RETRIABLE", "MEANS")
	for _, e := range l {
		t.Row(e.Code, e.Name, e.Retriable, e.Text)
	}
	return t.Flush()
}

// Errors lists the errors whose codes or names are given, all of them if none is. A part of a name is enough.
func Errors(wanted []string) (ErrorTable, error) {
	var all ErrorTable
	for code := int16(-1); ; code++ {
		if code == 0 {
			all = append(all, ErrorCode{Name: "NONE", Text: "no error"})
			continue
		}
		e := kafkaproto.ErrorForCode(code)
		if e.Num != code {
			break // behind the last
		}
		all = append(all, ErrorCode{e.Num, e.Name, e.Retriable, e.Text})
	}
	if len(wanted) == 0 {
		return all, nil
	}
	list := ErrorTable{}
	for _, want := range wanted {
		found := all.matching(want)
		if len(found) == 0 {
			return nil, &cli.UsageError{Err: fmt.Errorf("no error of Kafka has the code or name %q", want)}
		}
		list = append(list, found...)
	}
	return list, nil
}

func (l ErrorTable) matching(want string) ErrorTable {
	var found ErrorTable
	code, err := strconv.ParseInt(want, 10, 16)
	plain := strings.ToUpper(strings.ReplaceAll(want, "-", "_"))
	for _, e := range l {
		if err == nil && e.Code == int16(code) || err != nil && e.Name == plain {
			return ErrorTable{e}
		}
		if err != nil && strings.Contains(e.Name, plain) {
			found = append(found, e)
		}
	}
	return found
}
