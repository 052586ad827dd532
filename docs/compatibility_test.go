package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rowCounts fixes the rows of compatibility.md: every letter's rows are numbered from 1 without a gap, so that none is
// lost in an edit. A new row raises its number here.
var rowCounts = map[string]int{"H": 16, "M": 10, "P": 10, "F": 12, "O": 10, "G": 14, "T": 10, "A": 17}

// row is one requirement: "| id | requirement | evidence | status | tests |".
type row struct {
	id, status string
	tests      []string
	line       int
}

var (
	rowPattern  = regexp.MustCompile(`^\| ([A-Z][0-9]+) \|`)
	namePattern = regexp.MustCompile("`([^`]+)`")
)

func TestCompatibilityRowsAreThoseOfTheDesign(t *testing.T) {
	got := map[string]bool{}
	for _, r := range readRows(t) {
		if got[r.id] {
			t.Errorf("line %d: row %s a second time", r.line, r.id)
		}
		got[r.id] = true
	}
	for letter, n := range rowCounts {
		for i := 1; i <= n; i++ {
			id := fmt.Sprint(letter, i)
			if !got[id] {
				t.Errorf("row %s is missing", id)
			}
			delete(got, id)
		}
	}
	for id := range got {
		t.Errorf("row %s is not known: raise rowCounts", id)
	}
}

func TestCompatibilityRowsThatAreDoneHaveTests(t *testing.T) {
	tests := findTests(t, "..")
	for _, r := range readRows(t) {
		switch {
		case r.status != "done" && r.status != "not yet":
			t.Errorf("line %d: row %s has status %q, want done or not yet", r.line, r.id, r.status)
		case r.status == "done" && len(r.tests) == 0:
			t.Errorf("line %d: row %s is done, but no test holds it", r.line, r.id)
		}
		for _, name := range r.tests {
			if !tests[name] {
				t.Errorf("line %d: row %s names %s, which does not exist", r.line, r.id, name)
			}
		}
	}
}

func TestCompatibilityListsTheVersionsServed(t *testing.T) {
	served := servedRanges(t, "../broker/apis.go")
	pattern := regexp.MustCompile(`^\| ([0-9]+) \| [A-Za-z]+ \| [^|]+ \| ([^|]+) \|$`)
	listed := map[int]string{}
	for i, line := range strings.Split(readDocument(t), "\n") {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		key, _ := strconv.Atoi(m[1])
		if _, twice := listed[key]; twice {
			t.Errorf("line %d: key %d a second time", i+1, key)
		}
		listed[key] = strings.TrimSpace(m[2])
	}
	if len(listed) < 70 {
		t.Errorf("%d keys listed", len(listed))
	}
	for key, text := range listed {
		want := "not yet"
		if r, ok := served[key]; ok {
			want = r
		}
		if text != want {
			t.Errorf("key %d: listed as %q, broker/apis.go says %q", key, text, want)
		}
		delete(served, key)
	}
	for key := range served {
		t.Errorf("key %d is served, but not listed", key)
	}
}

func readDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	for i, line := range strings.Split(readDocument(t), "\n") {
		m := rowPattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) < 4 {
			t.Errorf("line %d: row %s has %d cells", i+1, m[1], len(cells))
			continue
		}
		r := row{id: m[1], status: strings.Trim(cells[3], "| "), line: i + 1}
		if len(cells) > 4 {
			for _, name := range namePattern.FindAllStringSubmatch(cells[4], -1) {
				r.tests = append(r.tests, name[1])
			}
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatal("no rows in compatibility.md")
	}
	return rows
}

// findTests names every test of the repository as folder.TestName, and folder.TestName/sub for subtests with a literal name.
func findTests(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != root {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		addTests(tests, filepath.ToSlash(folder), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func addTests(tests map[string]bool, folder string, file *ast.File) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Body == nil || !isTest(f.Name.Name) {
			continue
		}
		name := folder + "." + f.Name.Name
		tests[name] = true
		ast.Inspect(f.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Run" {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if sub, err := strconv.Unquote(lit.Value); err == nil {
					tests[path.Join(name, strings.ReplaceAll(sub, " ", "_"))] = true
				}
			}
			return true
		})
	}
}

func isTest(name string) bool {
	return slices.ContainsFunc([]string{"Test", "Fuzz"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix) && len(name) > len(prefix)
	})
}

// servedRanges reads the rows {key: 0, minVersion: 0, maxVersion: 13...} of the broker's table as "0-13".
func servedRanges(t *testing.T, name string) map[int]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	served := map[int]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		fields := map[string]int{}
		for _, element := range lit.Elts {
			if kv, ok := element.(*ast.KeyValueExpr); ok {
				number, isNumber := kv.Value.(*ast.BasicLit)
				field, isField := kv.Key.(*ast.Ident)
				if isNumber && isField && number.Kind == token.INT {
					fields[field.Name], _ = strconv.Atoi(number.Value)
				}
			}
		}
		if most, ok := fields["maxVersion"]; ok {
			served[fields["key"]] = versions(fields["minVersion"], most)
		}
		return true
	})
	if len(served) == 0 {
		t.Fatalf("no rows in %s", name)
	}
	return served
}

func versions(least, most int) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprintf("%d-%d", least, most)
}
