package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reasonForm is a reason of a condition or an event, by Kubernetes' convention.
var reasonForm = regexp.MustCompile(`^[A-Z][a-z]+([A-Z]+[a-z0-9]*)*$|^[A-Z]+[a-z]+([A-Z]+[a-z0-9]*)*$`)

// reasons are what the code gives as the reason of a condition or an event, by where: constants that are named or typed
// as one, what is assigned to a field or a variable of that name, and what is passed for a parameter of that name.
type reasons struct {
	t     *testing.T
	files *token.FileSet
	found map[string]string
}

func (r *reasons) note(e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	if value, err := strconv.Unquote(lit.Value); err == nil && reasonForm.MatchString(value) {
		r.found[value] = r.files.Position(lit.Pos()).String()
	}
}

func isReason(name string) bool {
	return name == "Reason" || name == "reason" || strings.HasSuffix(name, "Reason") || strings.HasPrefix(name, "Reason") || strings.HasPrefix(name, "reason")
}

// codeReasons reads the packages that write conditions and events, and those that name their reasons.
func codeReasons(t *testing.T) map[string]string {
	r := &reasons{t: t, files: token.NewFileSet(), found: map[string]string{}}
	for _, directory := range []string{"../api/v1alpha1", "../internal/allocator", "../internal/k8s", "../internal/k8s/controller", "../internal/k8s/speaker"} {
		entries, err := os.ReadDir(directory)
		if err != nil {
			t.Fatal(err)
		}
		var files []*ast.File
		for _, e := range entries {
			if e.IsDir() || filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			file, err := parser.ParseFile(r.files, filepath.Join(directory, e.Name()), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		r.read(files)
	}
	return r.found
}

// read reads a package: first who takes a reason, and which position of a struct is one, then who gives it.
func (r *reasons) read(files []*ast.File) {
	takes, holds := map[string]int{}, map[string]int{}
	position := func(into map[string]int, name string, list *ast.FieldList) {
		at := 0
		for _, f := range list.List {
			for _, n := range f.Names {
				if isReason(n.Name) {
					into[name] = at
				}
				at++
			}
		}
	}
	each := func(do func(ast.Node)) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool { do(n); return true })
		}
	}
	each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			position(takes, n.Name.Name, n.Type.Params)
		case *ast.AssignStmt:
			for i, right := range n.Rhs {
				name, ok := n.Lhs[min(i, len(n.Lhs)-1)].(*ast.Ident)
				if f, isFunc := right.(*ast.FuncLit); isFunc && ok {
					position(takes, name.Name, f.Type.Params)
				}
			}
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				position(holds, n.Name.Name, s.Fields)
			}
		}
	})
	each(func(n ast.Node) { r.given(n, takes, holds) })
}

func (r *reasons) given(n ast.Node, takes, holds map[string]int) {
	switch n := n.(type) {
	case *ast.ValueSpec:
		kind := ""
		switch typed := n.Type.(type) {
		case *ast.Ident:
			kind = typed.Name
		case *ast.SelectorExpr:
			kind = typed.Sel.Name
		}
		for i, name := range n.Names {
			if i < len(n.Values) && (isReason(name.Name) || isReason(kind)) {
				r.note(n.Values[i])
			}
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && isReason(key.Name) {
			r.note(n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			name := ""
			switch l := left.(type) {
			case *ast.Ident:
				name = l.Name
			case *ast.SelectorExpr:
				name = l.Sel.Name
			}
			if isReason(name) && len(n.Lhs) == len(n.Rhs) {
				r.note(n.Rhs[i])
			}
		}
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if at, ok := takes[name]; ok && at < len(n.Args) {
			r.note(n.Args[at])
		}
	case *ast.CompositeLit:
		switch typed := n.Type.(type) {
		case *ast.Ident:
			if at, ok := holds[typed.Name]; ok && at < len(n.Elts) {
				r.note(n.Elts[at])
			}
		case *ast.ArrayType: // its elements leave the type out
			if of, ok := typed.Elt.(*ast.Ident); ok {
				for _, e := range n.Elts {
					if c, ok := e.(*ast.CompositeLit); ok && c.Type == nil {
						if at, ok := holds[of.Name]; ok && at < len(c.Elts) {
							r.note(c.Elts[at])
						}
					}
				}
			}
		}
	}
}

// patched are reasons in a patch that is written as text.
var patched = regexp.MustCompile(`"reason": "(\w+)"`)

// layer2States are reasons of a Speaker's condition Ready: constants of their own type.
var layer2States = regexp.MustCompile(`(?m)^\s*[A-Z]\w+\s+State = "(\w+)"`)

// scripted are the reasons that scripts have seen in events and conditions, which are what users see.
var scripted = regexp.MustCompile(`(?m)^\s*(?:Warning|Normal) ([A-Z]\w+): |^\s*\S+ (?:True|False), ([A-Z]\w+): `)

// Whoever meets a reason finds on the page what it means and what to do; the page has none that is not there any more.
func TestMessagesPageHasEveryReason(t *testing.T) {
	found := codeReasons(t)
	for directory, form := range map[string]*regexp.Regexp{"../internal/layer2": layer2States, "../internal/k8s/speaker": patched} {
		files, err := filepath.Glob(directory + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s (%v)", len(files), directory, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, parts := range form.FindAllStringSubmatch(string(text), -1) {
				found[parts[1]] = file
			}
		}
	}
	err := fs.WalkDir(os.DirFS("../internal/k8s"), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".txtar" {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../internal/k8s", name))
		for _, parts := range scripted.FindAllStringSubmatch(string(text), -1) {
			if reason := parts[1] + parts[2]; found[reason] == "" {
				t.Errorf("internal/k8s/%s: the reason %s is not found in the code: teach codeReasons where it is given", name, reason)
				found[reason] = name
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("reference/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\|(?: `[^|]*(?:`|: \\w+) \\|)? ((?:`[A-Z]\\w+`(?:, )?)+) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(found)) {
		if !told[reason] {
			t.Errorf("reference/messages.md does not tell of %s (%s)", reason, found[reason])
		}
		delete(told, reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(told)) {
		t.Errorf("reference/messages.md tells of %s, which the code does not give", reason)
	}
}

// So it does of each type of condition.
func TestMessagesPageHasEveryCondition(t *testing.T) {
	code, err := os.ReadFile("../api/v1alpha1/conditions.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("reference/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	types := regexp.MustCompile(`Condition\w+ = "([\w./]+)"`).FindAllStringSubmatch(string(code), -1)
	if len(types) < 7 {
		t.Fatalf("only %d types of conditions", len(types))
	}
	for _, parts := range types {
		if !strings.Contains(string(page), "`"+parts[1]+"`") {
			t.Errorf("reference/messages.md does not tell of the condition %s", parts[1])
		}
	}
}
