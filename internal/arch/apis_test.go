package arch

import (
	"go/ast"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// apiFile is a file that handles one API key: its number, and the API's name in snake case.
var apiFile = regexp.MustCompile(`^(\d\d)_([a-z0-9_]+)\.go$`)

func TestEveryAPIHasOneRowAndOneFile(t *testing.T) {
	rows, files := map[string]string{}, map[string]*ast.File{}
	for _, s := range sources(t) {
		if s.pkg != "broker" || s.test {
			continue
		}
		if m := apiFile.FindStringSubmatch(path.Base(s.path)); m != nil {
			if _, ok := files[m[1]+"_"+m[2]]; ok {
				t.Errorf("%s: a second file for key %s", s.path, m[1])
			}
			files[m[1]+"_"+m[2]] = s.file
		}
		if s.path == "broker/apis.go" {
			rows = apiRows(t, s)
		}
	}
	if len(rows) == 0 {
		t.Fatal("no rows found in broker/apis.go")
	}
	for name, handler := range rows {
		file, ok := files[name]
		switch {
		case !ok:
			t.Errorf("broker/apis.go has a row for %s, but there is no file broker/%s.go", name, name)
		case file.Scope.Lookup(handler) == nil:
			t.Errorf("broker/%s.go does not have %s, which its row names", name, handler)
		}
	}
	for name := range files {
		if _, ok := rows[name]; !ok {
			t.Errorf("broker/%s.go has no row in broker/apis.go: what is not served has no file", name)
		}
	}
}

// apiRows reads the table: file name without .go -> handler.
func apiRows(t *testing.T, s source) map[string]string {
	rows := map[string]string{}
	lastKey := -1
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "apis" {
			return true
		}
		for _, el := range spec.Values[0].(*ast.CompositeLit).Elts {
			key, name, handler := apiRow(el.(*ast.CompositeLit))
			if key <= lastKey {
				t.Errorf("%s: rows are in order of their keys, each once", s.at(el))
			}
			lastKey = key
			digits := strconv.Itoa(key)
			if key < 10 {
				digits = "0" + digits
			}
			rows[digits+"_"+snake(name)] = handler
		}
		return false
	})
	return rows
}

func apiRow(row *ast.CompositeLit) (key int, name, handler string) {
	for _, f := range row.Elts {
		kv := f.(*ast.KeyValueExpr)
		switch kv.Key.(*ast.Ident).Name {
		case "key":
			key, _ = strconv.Atoi(kv.Value.(*ast.BasicLit).Value)
		case "name":
			name, _ = strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
		case "handle":
			handler = kv.Value.(*ast.Ident).Name
		}
	}
	return key, name, handler
}

// snake turns DescribeTopicPartitions into describe_topic_partitions.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
