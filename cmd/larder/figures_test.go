package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The sizes that nothing in this repository may exceed.
const (
	maxFile       = 500 // lines
	maxFunction   = 60  // lines, from "func" to its closing brace; the tables of tests are not counted
	maxMethods    = 7   // of an interface
	maxParameters = 5
)

// TestFigures holds the sizes of files, functions and interfaces.
func TestFigures(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && path != "../.." && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir
		}
		if e.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for _, complaint := range figures(path, source) {
			t.Error(complaint)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("looked at %d files: %v", seen, err)
	}
}

// figures returns what is too large in one file, or wrong in kind.
func figures(path string, source []byte) []string {
	var found []string
	if n := bytes.Count(source, []byte("\n")); n > maxFile {
		found = append(found, sprint(path, 1, "has", n, "lines, at most", maxFile))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return append(found, err.Error())
	}
	line := func(p token.Pos) int { return set.Position(p).Line }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			size := line(n.End()) - line(n.Pos()) + 1
			if strings.HasSuffix(path, "_test.go") {
				size -= tableLines(n, line)
			}
			if size > maxFunction {
				found = append(found, sprint(path, line(n.Pos()), n.Name.Name, "has", size, "lines, at most", maxFunction))
			}
			if size := parameters(n.Type.Params); size > maxParameters {
				found = append(found, sprint(path, line(n.Pos()), n.Name.Name, "has", size, "parameters, at most", maxParameters))
			}
			if n.Recv == nil && n.Name.Name == "init" {
				found = append(found, sprint(path, line(n.Pos()), "has an init function"))
			}
		case *ast.InterfaceType:
			if size := n.Methods.NumFields(); size > maxMethods {
				found = append(found, sprint(path, line(n.Pos()), "has an interface of", size, "methods, at most", maxMethods))
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "http" && n.Sel.Name == "Error" {
				found = append(found, sprint(path, line(n.Pos()), "calls http.Error; errors leave by one place"))
			}
		}
		return true
	})
	return found
}

// tableLines counts the lines inside of the outermost composite literals of a function.
func tableLines(f *ast.FuncDecl, line func(token.Pos) int) int {
	total := 0
	ast.Inspect(f, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if ok {
			total += line(literal.End()) - line(literal.Pos())
		}
		return !ok
	})
	return total
}

func sprint(path string, line int, words ...any) string {
	return fmt.Sprintf("%s:%d: ", path, line) + strings.TrimSpace(fmt.Sprintln(words...))
}

// TestFiguresComplain shows that each of the sizes can fail.
func TestFiguresComplain(t *testing.T) {
	long := "package p\nfunc f() {\n" + strings.Repeat("\tg()\n", maxFunction) + "}\n"
	for name, source := range map[string]string{
		"lines, at most 60":     long,
		"lines, at most 500":    "package p\n" + strings.Repeat("// x\n", maxFile),
		"methods, at most 7":    "package p\ntype i interface {" + strings.Repeat("\nm()", maxMethods+1) + "}\n",
		"parameters, at most 5": "package p\nfunc f(a, b, c, d, e, f int) {}\n",
		"an init function":      "package p\nfunc init() {}\n",
		"calls http.Error":      "package p\nfunc f() { http.Error(w, m, 500) }\n",
	} {
		found := figures("p.go", []byte(source))
		if len(found) != 1 || !strings.Contains(found[0], name) {
			t.Errorf("%s: complaints %q", name, found)
		}
	}
	table := "package p\nfunc f() {\n\tfor range []int{\n" + strings.Repeat("\t1,\n", maxFunction) + "\t} {\n}\n}\n"
	if found := figures("p_test.go", []byte(table)); len(found) != 0 {
		t.Errorf("the table of a test counts as code: %q", found)
	}
	if found := figures("p.go", []byte(table)); len(found) != 1 {
		t.Errorf("a table outside of tests does not count: %q", found)
	}
}

// parameters counts what a caller has to think of: a context is passed on.
func parameters(list *ast.FieldList) int {
	n := list.NumFields()
	for _, p := range list.List {
		if sel, ok := p.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
			n--
		}
	}
	return n
}
