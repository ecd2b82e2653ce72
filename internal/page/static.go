package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var files embed.FS

// types are those of the files that there are. The system's own list may say otherwise of some.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one of the page's own.
type file struct {
	content   []byte
	kind, tag string
}

// static serves the page's files.
type static map[string]file

func newStatic(files fs.FS) static {
	s := static{}
	err := fs.WalkDir(files, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		kind, known := types[path.Ext(name)]
		if !known {
			return fmt.Errorf("%s is of no type that the page has", name)
		}
		sum := sha256.Sum256(content)
		s[strings.TrimPrefix(name, "static/")] = file{content, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("reading the page's files: %v", err)) // they are in the binary
	}
	s[""] = s["index.html"]
	return s
}

func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s[strings.TrimPrefix(r.URL.Path, Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("ETag", f.tag)
	// A browser may keep a file, and asks each time whether it is still that: after an upgrade it is another.
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
