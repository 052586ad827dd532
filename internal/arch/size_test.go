package arch

import (
	"go/ast"
	"testing"
)

// What can't be read in a sitting, or leaves the screen, is a question to answer in review: who needs more names the piece
// here with its size, and the figure may only go down.
const (
	longestFile     = 800
	longestFunction = 100
)

var largerFiles = map[string]int{}

var longerFunctions = map[string]int{}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		lines := s.fset.Position(s.file.FileEnd).Line
		if most := max(longestFile, largerFiles[s.path]); lines > most {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, most)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if most := max(longestFunction, longerFunctions[s.pkg+"."+f.Name.Name]); n > most {
				t.Errorf("%s: %s has %d lines, more than %d", s.at(f), f.Name.Name, n, most)
			}
		}
	}
}
