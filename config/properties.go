package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// parseProperties reads text in the syntax of Java's properties files: lines of key and value divided by '=', ':' or
// white space, comments from '#' or '!', a backslash at a line's end to continue it, and backslash escapes.
func parseProperties(text, fileName string) ([]setting, error) {
	var settings []setting
	lines := logicalLines{rest: text}
	for lines.next() {
		source := fmt.Sprintf("%s:%d", fileName, lines.first)
		rawKey, rawValue := splitProperty(lines.line)
		key, err := unescape(rawKey)
		if err == nil {
			var val string
			if val, err = unescape(rawValue); err == nil {
				settings = append(settings, setting{key, val, OriginFile, source})
				continue
			}
		}
		return nil, &Error{Key: rawKey, Value: rawValue, Reason: err.Error(), Source: source}
	}
	return settings, nil
}

// logicalLines walks over the lines that count: joined where they continue, without comments and blank ones.
type logicalLines struct {
	rest   string
	number int // of the natural line that was read last, from 1
	line   string
	first  int // number of the natural line on which line begins
}

func (l *logicalLines) next() bool {
	for l.rest != "" {
		natural := strings.TrimLeft(l.natural(), " \t\f")
		if natural == "" || natural[0] == '#' || natural[0] == '!' || natural == `\` {
			continue // a line of nothing but a backslash continues nothing: the next one may be a comment
		}
		l.first = l.number
		var joined strings.Builder
		for continues(natural) && l.rest != "" {
			joined.WriteString(natural[:len(natural)-1])
			natural = strings.TrimLeft(l.natural(), " \t\f")
		}
		if continues(natural) {
			natural = natural[:len(natural)-1]
		}
		joined.WriteString(natural)
		l.line = joined.String()
		return true
	}
	return false
}

// natural takes the next line off the text; it ends at \n, \r or \r\n.
func (l *logicalLines) natural() string {
	l.number++
	i := strings.IndexAny(l.rest, "\r\n")
	if i < 0 {
		line := l.rest
		l.rest = ""
		return line
	}
	line, rest := l.rest[:i], l.rest[i+1:]
	if l.rest[i] == '\r' {
		rest = strings.TrimPrefix(rest, "\n")
	}
	l.rest = rest
	return line
}

// continues says whether a line ends in an odd number of backslashes.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitProperty divides a line at its first unescaped divider: white space around at most one '=' or ':'.
func splitProperty(line string) (key, val string) {
	i := 0
	for i < len(line) && !strings.ContainsRune("=: \t\f", rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	key, val = line[:i], strings.TrimLeft(line[i:], " \t\f")
	if val != "" && (val[0] == '=' || val[0] == ':') {
		val = strings.TrimLeft(val[1:], " \t\f")
	}
	return key, val
}

// unescape resolves \t \n \r \f and \uXXXX; a backslash before any other character is dropped.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break
		}
		if s[i] == 'u' {
			r, n, err := unicodeEscape(s[i+1:])
			if err != nil {
				return "", err
			}
			out.WriteRune(r)
			i += n
			continue
		}
		out.WriteByte(escaped(s[i]))
	}
	return out.String(), nil
}

func escaped(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

// unicodeEscape reads what stands behind \u: four hexadecimal digits, and the other half of a surrogate pair if there is
// one. It returns how many bytes it took.
func unicodeEscape(s string) (rune, int, error) {
	r, err := hex4(s)
	if err != nil {
		return 0, 0, err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(s[4:], `\u`) {
		if low, err := hex4(s[6:]); err == nil {
			if pair := utf16.DecodeRune(r, low); pair != '\uFFFD' {
				return pair, 10, nil
			}
		}
	}
	return r, 4, nil
}

func hex4(s string) (rune, error) {
	if len(s) >= 4 && !strings.ContainsAny(s[:4], "+-_") {
		if n, err := strconv.ParseUint(s[:4], 16, 16); err == nil {
			return rune(n), nil
		}
	}
	return 0, fmt.Errorf(`\u must be followed by four hexadecimal digits`)
}
