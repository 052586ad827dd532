package config

import (
	"errors"
	"fmt"
)

// ErrInvalidConfig marks every error about a property: unknown name, bad value. Test with errors.Is.
var ErrInvalidConfig = errors.New("invalid configuration")

// Error says which value of which property is wrong, and what is allowed there.
type Error struct {
	Key     string
	Value   string // already hidden if the key is sensitive
	Reason  string // what is wrong or what is allowed
	Source  string // file and line, variable or flag; may be empty
	Unknown bool   // there is no such property
}

func (e *Error) Error() string {
	from := ""
	if e.Source != "" {
		from = " (" + e.Source + ")"
	}
	if e.Unknown {
		return fmt.Sprintf("unknown configuration %s%s", e.Key, from)
	}
	return fmt.Sprintf("invalid value %q for configuration %s%s: %s", e.Value, e.Key, from, e.Reason)
}

// Is makes errors.Is(err, ErrInvalidConfig) hold.
func (e *Error) Is(target error) bool { return target == ErrInvalidConfig }

// KafkaCode is Kafka's error code for it: INVALID_CONFIG.
func (e *Error) KafkaCode() int16 { return 40 }
