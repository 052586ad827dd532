package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// pure packages decide and never act: what they are told is all they know. That is what lets a text script test a whole
// rebalance and a seed repeat a whole cluster.
var pure = []string{"replication", "groups", "txns", "controller"}

// impureImports are packages that a pure one has no use for but to reach outside or to share state.
var impureImports = map[string]string{
	"sync": "locks", "sync/atomic": "shared state", "os": "the machine", "net": "sockets", "math/rand": "randomness",
	"math/rand/v2": "randomness", "crypto/rand": "randomness", "io/ioutil": "files", "os/exec": "processes",
	"os/signal": "signals", "context": "cancellation: whoever waits has it", "runtime": "the machine", "log": "output", "log/slog": "output",
	module + "/internal/env": "the door to the outside", module + "/log": "storage", module + "/peer": "other nodes",
}

// impureCalls are functions of packages that are pure else.
var impureCalls = map[string][]string{
	"time": {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"},
	"fmt":  {"Print", "Println", "Printf", "Scan", "Scanln", "Scanf"},
}

func TestPurePackagesReachNothing(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, im := range s.imports() {
			if what, ok := impureImports[im]; ok {
				t.Errorf("%s imports %s (%s): package %s is pure", s.path, im, what, s.pkg)
			}
			if strings.HasPrefix(im, "net/") || strings.HasPrefix(im, module+"/log/") {
				t.Errorf("%s imports %s: package %s is pure", s.path, im, s.pkg)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if what := impurity(n); what != "" {
				t.Errorf("%s: %s: package %s is pure", s.at(n), what, s.pkg)
			}
			return true
		})
	}
}

// impurity names what makes a node impure, or nothing.
func impurity(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a goroutine"
	case *ast.ChanType:
		return "a channel"
	case *ast.SelectStmt:
		return "a select"
	case *ast.SendStmt:
		return "a send"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "a receive"
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(impureCalls[x.Name], n.Sel.Name) {
			return x.Name + "." + n.Sel.Name
		}
	}
	return ""
}
