package config

import (
	"errors"
	"fmt"
)

// ErrInvalidConfig marks every error about a property: unknown name, bad value. Test with errors.Is.
var ErrInvalidConfig = errors.New("invalid configuration")

// Error says which value of which property is wrong, and what is allowed there, in Kafka's words.
type Error struct {
	Key     string
	Value   string // already hidden if the key is sensitive
	Reason  string // what is wrong or what is allowed
	Text    string // the whole sentence, where it is not the usual one made of the fields above
	Source  string // file and line, variable or flag; may be empty
	Unknown bool   // there is no such property
}

func (e *Error) Error() string {
	text := e.Text
	switch {
	case text != "":
	case e.Unknown:
		text = "Unknown topic config name: " + e.Key
	default:
		text = invalid(e.Value, e.Key, e.Reason)
	}
	if e.Source != "" {
		text = e.Source + ": " + text
	}
	return text
}

func invalid(value, key, reason string) string {
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, key, reason)
}

// Is makes errors.Is(err, ErrInvalidConfig) hold.
func (e *Error) Is(target error) bool { return target == ErrInvalidConfig }

// KafkaCode is Kafka's error code for it: INVALID_CONFIG.
func (e *Error) KafkaCode() int16 { return 40 }
