package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parse turns text into the Go value of a type (bool, int64, float64, string or []string), taking what Kafka's parser
// takes. The reason is empty if it could.
func parse(t Type, text string) (parsed any, reason string) {
	trimmed := strings.TrimSpace(text)
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(trimmed, "true"):
			return true, ""
		case strings.EqualFold(trimmed, "false"):
			return false, ""
		}
		return nil, "Expected value to be either true or false"
	case Short:
		return parseInteger(trimmed, 16)
	case Int:
		return parseInteger(trimmed, 32)
	case Long:
		return parseInteger(trimmed, 64)
	case Double:
		return parseDouble(trimmed)
	case List:
		return splitList(trimmed), ""
	case Password:
		return text, ""
	default:
		return trimmed, ""
	}
}

func parseInteger(s string, bits int) (any, string) {
	n, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return nil, "Not a number of type " + map[int]string{16: "SHORT", 32: "INT", 64: "LONG"}[bits]
	}
	return n, ""
}

// javaDouble is what Java's parser of doubles takes in practice; Go's takes underscores and "inf" besides.
var javaDouble = regexp.MustCompile(`^[+-]?(NaN|Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?)$`)

func parseDouble(s string) (any, string) {
	const reason = "Not a number of type DOUBLE"
	if !javaDouble.MatchString(s) {
		return nil, reason
	}
	if !strings.HasSuffix(s, "Infinity") {
		s = strings.TrimRight(s, "fFdD")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil, reason
	}
	return f, ""
}

var listComma = regexp.MustCompile(`\s*,\s*`)

func splitList(s string) []string {
	if s == "" {
		return []string{}
	}
	return listComma.Split(s, -1)
}

// format writes a parsed value as Kafka's DescribeConfigs does.
func format(parsed any) string {
	switch v := parsed.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return formatDouble(v)
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	}
	return ""
}

// formatDouble writes a double as Java does: always with a decimal point, and with an exponent outside 1e-3..1e7.
func formatDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if abs := math.Abs(f); f == 0 || (abs >= 1e-3 && abs < 1e7) {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

const maxDuration = time.Duration(math.MaxInt64)

// unitOf is the unit that the last part of a property's name says. Milliseconds if it says none.
func unitOf(name string) time.Duration {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "seconds", "secs":
		return time.Second
	case "minutes":
		return time.Minute
	case "hours":
		return time.Hour
	}
	return time.Millisecond
}
