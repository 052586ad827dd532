package arch

import (
	"strings"
	"testing"
)

// A package's comment says what it is, what it never does, who drives it and which file to read first; 200 characters is
// less than that takes.
const shortestPackageComment = 200

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, ok := comments[s.pkg]; !ok {
			comments[s.pkg] = nil
		}
		if s.file.Doc != nil {
			comments[s.pkg] = append(comments[s.pkg], s.file.Doc.Text())
		}
	}
	for pkg, texts := range comments {
		if len(texts) != 1 {
			t.Errorf("package %s has %d package comments, want one", pkg, len(texts))
			continue
		}
		name := pkg[strings.LastIndexByte(pkg, '/')+1:]
		if !strings.HasPrefix(texts[0], "Package "+name+" ") && !strings.HasPrefix(texts[0], "Command "+name+" ") {
			t.Errorf("the comment of package %s does not start with its name", pkg)
		}
		if len(texts[0]) < shortestPackageComment {
			t.Errorf("the comment of package %s is too short to say what it is, what it never does, who drives it and where to start", pkg)
		}
	}
}
