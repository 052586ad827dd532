package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// UsageError says that what the user asked for can't be meant: a flag out of range, two that exclude each other. The
// process exits with 2 on it, and with 1 on every other error.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// usagef makes a UsageError.
func usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// Explain renders an error as one line for a person: Kafka's name of the error, then its text, and what was attempted
// before both.
func Explain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return oneLine(strings.Replace(err.Error(), context.DeadlineExceeded.Error(), "no answer in time", 1))
	}
	return oneLine(err.Error())
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// kafkaError joins an error code with the broker's own message; the broker's text, where it sends one, says more than
// the generic one.
func kafkaError(code int16, message *string) error {
	if code == 0 {
		return nil
	}
	err := kerr.TypedErrorForCode(code)
	if message != nil && *message != "" {
		return &brokerError{err, *message}
	}
	return err
}

type brokerError struct {
	kind    *kerr.Error
	message string
}

func (e *brokerError) Error() string { return e.kind.Message + ": " + e.message }
func (e *brokerError) Unwrap() error { return e.kind }
