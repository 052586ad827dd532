package config

import (
	"errors"
	"strings"
	"testing"
)

func TestPropertiesSyntaxIsJavas(t *testing.T) {
	for text, want := range map[string][][2]string{
		"a=b":                      {{"a", "b"}},
		"a:b":                      {{"a", "b"}},
		"a b":                      {{"a", "b"}},
		"  a \t=  b  ":             {{"a", "b  "}},
		"a = = b":                  {{"a", "= b"}},
		"a":                        {{"a", ""}},
		"a\nb":                     {{"a", ""}, {"b", ""}},
		"# c\n! d\n\n   \na=1":     {{"a", "1"}},
		"a=1\\\n   2\\\n3\nb=4":    {{"a", "123"}, {"b", "4"}},
		"a=1\\\\\nb=2":             {{"a", `1\`}, {"b", "2"}},
		"a=1\r\nb=2\rc=3":          {{"a", "1"}, {"b", "2"}, {"c", "3"}},
		`a\ b\=\:=c`:               {{"a b=:", "c"}},
		`a=\t\n\r\f\z\"`:           {{"a", "\t\n\r\fz\""}},
		`a=\u00e4\u20AC`:           {{"a", "ä€"}},
		`a=\ud83d\ude00`:           {{"a", "😀"}},
		"a=1\\":                    {{"a", "1"}},
		"a=x # y":                  {{"a", "x # y"}},
		"a=1\\\n# not a comment":   {{"a", "1# not a comment"}},
		"\\\n# c\na":               {{"a", ""}},
		"=b":                       {{"", "b"}},
		"listeners=PLAINTEXT://:1": {{"listeners", "PLAINTEXT://:1"}},
	} {
		got, err := parseProperties(text, "f")
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: %v, %v", text, got, err)
			continue
		}
		for i, s := range got {
			if s.key != want[i][0] || s.text != want[i][1] {
				t.Errorf("%q: %q=%q, want %q=%q", text, s.key, s.text, want[i][0], want[i][1])
			}
		}
	}
}

func TestBadUnicodeEscapeNamesItsLine(t *testing.T) {
	_, err := parseProperties("a=1\nb=\\u12g4\n", "server.properties")
	if !errors.Is(err, ErrInvalidConfig) || !strings.Contains(err.Error(), "server.properties:2") {
		t.Error(err)
	}
}

func FuzzProperties(f *testing.F) {
	for _, s := range []string{"a=b", "a\\\n=b", `\u0041=\`, "#\n!\r\n", "a:b\\", "node.id=1\nlisteners=A://:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parseProperties(text, "f")
		if err == nil {
			total := 0
			for _, s := range settings {
				total += len(s.key) + len(s.text)
			}
			if total > 3*len(text) { // a bad byte may become a replacement rune
				t.Errorf("%d bytes out of %d", total, len(text))
			}
		}
		c, _, err := Load(Sources{File: text})
		if (c == nil) == (err == nil) {
			t.Error("neither a configuration nor an error")
		}
	})
}
