package cli

import (
	"fmt"
	"strconv"
	"time"
)

// timeLayouts are what a point in time may be written as, besides milliseconds; without a zone the local one is meant.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02"}

// parseTime reads milliseconds since 1970, RFC 3339, or, if now is not zero, a duration before it ("15m").
func parseTime(s string, now time.Time) (time.Time, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		if ms < 0 {
			return time.Time{}, fmt.Errorf("timestamp %d is negative", ms)
		}
		return time.UnixMilli(ms), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if now.IsZero() {
		return time.Time{}, fmt.Errorf("%q is neither milliseconds nor a time as 2006-01-02T15:04:05Z", s)
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither milliseconds, a time as 2006-01-02T15:04:05Z, nor a duration ago as 15m", s)
}
