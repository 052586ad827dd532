package kafkaproto

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorsAreNumberedAsKafkaDoes(t *testing.T) {
	seen := map[string]bool{}
	for i, e := range errorsByCode {
		if int(e.Num) != i+1 || ErrorForCode(e.Num) != e || seen[e.Name] || e.Text == "" {
			t.Errorf("code %d: %+v", i+1, e)
		}
		seen[e.Name] = true
	}
	if ErrorForCode(0) != nil || ErrorForCode(-1) != ErrUnknownServerError || ErrorForCode(30000) != ErrUnknownServerError || ErrorForCode(-300) != ErrUnknownServerError {
		t.Error("codes that nobody has")
	}
	for code, e := range map[int16]*Error{1: ErrOffsetOutOfRange, 32: ErrInvalidTimestamp, 56: ErrKafkaStorageError, 87: ErrInvalidRecord, 133: ErrShareSessionLimitReached} {
		if e.Num != code {
			t.Errorf("%s is %d", e.Name, e.Num)
		}
	}
}

func TestCodeAndMessageFindTheErrorInside(t *testing.T) {
	for _, c := range []struct {
		err     error
		code    int16
		message string // "-": none
	}{
		{nil, 0, "-"},
		{ErrInvalidConfig, 40, "-"},
		{ErrInvalidConfig.With("key %q", "x"), 40, `key "x"`},
		{fmt.Errorf("outer: %w", ErrInvalidConfig.With("inner")), 40, "inner"},
		{fmt.Errorf("outer: %w", ErrInvalidConfig), 40, "outer: " + ErrInvalidConfig.Error()},
		{errors.New("secret"), -1, "-"},
		{ErrCorruptMessage.With("%w", io.ErrUnexpectedEOF), 2, "unexpected EOF"},
	} {
		got := "-"
		if m := Message(c.err); m != nil {
			got = *m
		}
		if Code(c.err) != c.code || got != c.message {
			t.Errorf("%v: code %d, message %q", c.err, Code(c.err), got)
		}
	}
	if err := ErrCorruptMessage.With("at %d: %w", 7, io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrCorruptMessage) {
		t.Error("With hides what it wraps")
	}
}
