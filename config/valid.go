package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Valid says which of a type's values are allowed.
type Valid interface {
	// Check returns why a parsed value is not allowed, as the end of a sentence; empty if it is.
	Check(parsed any) string
	// String says in words or brackets what is allowed, for listings.
	String() string
}

// sentenced is a Valid whose refusals are no mere end of the usual sentence, in Kafka's words.
type sentenced interface {
	Sentence(name string, parsed any) string
}

// atLeast allows numbers from its value up.
type atLeast float64

func (v atLeast) Check(p any) string {
	if n := number(p); n < float64(v) || math.IsNaN(n) {
		return "Value must be at least " + plain(float64(v))
	}
	return ""
}

func (v atLeast) String() string { return "[" + plain(float64(v)) + ",...]" }

// between allows numbers from lo to hi, both included.
type between struct{ lo, hi float64 }

func (v between) Check(p any) string {
	switch n := number(p); {
	case n < v.lo || math.IsNaN(n):
		return "Value must be at least " + plain(v.lo)
	case n > v.hi:
		return "Value must be no more than " + plain(v.hi)
	}
	return ""
}

func (v between) String() string { return "[" + plain(v.lo) + ",...," + plain(v.hi) + "]" }

// gzipLevel allows the levels of gzip and -1 for its default.
type gzipLevel struct{}

func (gzipLevel) Check(p any) string {
	if n := number(p); n != -1 && (n < 1 || n > 9) {
		return "Value must be between 1 and 9 or equal to -1"
	}
	return ""
}

func (gzipLevel) String() string { return "[1,...,9] or -1" }

// oneOf allows certain strings.
type oneOf []string

func (v oneOf) Check(p any) string {
	if slices.Contains(v, p.(string)) {
		return ""
	}
	return "String must be one of: " + strings.Join(v, ", ")
}

func (v oneOf) String() string { return "[" + strings.Join(v, ", ") + "]" }

// oneOfFold is oneOf without regard to case.
type oneOfFold []string

func (v oneOfFold) Check(p any) string {
	if slices.ContainsFunc(v, func(s string) bool { return strings.EqualFold(s, p.(string)) }) {
		return ""
	}
	return "String must be one of (case insensitive): " + strings.Join(v, ", ")
}

func (v oneOfFold) String() string { return "(case insensitive) [" + strings.Join(v, ", ") + "]" }

// someOf allows lists of certain strings, each at most once.
type someOf struct {
	allowed []string // nil allows any string
	empty   bool     // the list may be empty
}

func (v someOf) Check(p any) string {
	list := p.([]string)
	if len(list) == 0 && !v.empty {
		return "values must not be empty"
	}
	for i, s := range list {
		switch {
		case s == "":
			return "values must not be empty"
		case slices.Contains(list[:i], s):
			return "values must not be duplicated"
		case v.allowed != nil && !slices.Contains(v.allowed, s):
			return "String must be one of: " + strings.Join(v.allowed, ", ")
		}
	}
	return ""
}

// Sentence blames the element that is wrong, as Kafka does.
func (v someOf) Sentence(name string, p any) string {
	reason := v.Check(p)
	for _, s := range p.([]string) {
		if s != "" && v.allowed != nil && !slices.Contains(v.allowed, s) && strings.HasPrefix(reason, "String") {
			return invalid(s, name, reason)
		}
	}
	return "Configuration '" + name + "' " + reason + "."
}

func (v someOf) String() string {
	switch {
	case v.allowed != nil:
		return "[" + strings.Join(v.allowed, ", ") + "]"
	case v.empty:
		return "no element twice"
	}
	return "non-empty list"
}

// notEmpty allows any string that has a character.
type notEmpty struct{}

func (notEmpty) Check(p any) string {
	if p.(string) == "" {
		return "String must be non-empty"
	}
	return ""
}

func (notEmpty) String() string { return "non-empty string" }

// throttled allows a list of partition:broker pairs, or *.
type throttled struct{}

var throttledReplica = regexp.MustCompile(`^\d+:\d+$`)

func (v throttled) Check(p any) string {
	list := p.([]string)
	if len(list) == 1 && strings.TrimSpace(list[0]) == "*" {
		return ""
	}
	for _, s := range list {
		if !throttledReplica.MatchString(s) {
			return "it must be the literal '*' or a list of replicas in the following format: " + v.String()
		}
	}
	return ""
}

// Sentence shows the list as Kafka does.
func (v throttled) Sentence(name string, p any) string {
	return invalid("["+strings.Join(p.([]string), ", ")+"]", name, name+strings.TrimPrefix(v.Check(p), "it"))
}

func (throttled) String() string { return "[partitionId]:[brokerId],[partitionId]:[brokerId],..." }

func number(p any) float64 {
	switch n := p.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return math.NaN()
}

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
