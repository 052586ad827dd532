package cli

import "strings"

// parsePairs splits each "key=value" at its first '='; what names the thing for the error, a UsageError.
func parsePairs(what string, list []string) ([][2]string, error) {
	pairs := make([][2]string, 0, len(list))
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usagef("%s %q is not key=value", what, s)
		}
		pairs = append(pairs, [2]string{k, v})
	}
	return pairs, nil
}
