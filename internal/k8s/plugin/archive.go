package plugin

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// archive is a .tar.gz in the making, with a note of what is in it and of what is not.
type archive struct {
	tar     *tar.Writer
	zip     *gzip.Writer
	folder  string
	time    time.Time
	listed  []string // file and what it is
	missing []string
	say     func(format string, args ...any)
}

func newArchive(w io.Writer, folder string, now time.Time, say func(string, ...any)) *archive {
	zip := gzip.NewWriter(w)
	return &archive{tar: tar.NewWriter(zip), zip: zip, folder: folder, time: now, say: say}
}

// add adds a file, without what looks like a secret.
func (a *archive) add(name, what, text string) error {
	text = redactText(text)
	header := &tar.Header{Name: a.folder + "/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: a.time, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	if _, err := io.WriteString(a.tar, text); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	a.listed = append(a.listed, fmt.Sprintf("%-34s %s", name, what))
	return nil
}

// lack notes that something is not in it.
func (a *archive) lack(what string, err error) {
	text := err.Error()
	if !strings.Contains(text, what) {
		text = what + ": " + text
	}
	text = redactText(printable(text))
	a.missing = append(a.missing, text)
	a.say("not included: %s", text)
}

// close adds README.txt, and ends the archive.
func (a *archive) close(version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Support bundle of Fairlead, made by kubectl-fairlead %s at %s\n\n", version, a.time.UTC().Format(time.RFC3339))
	b.WriteString(bundleWords)
	b.WriteString("\nIn it:\n\n")
	for _, line := range a.listed {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("\nNot in it, since it could not be read:\n\n")
	if len(a.missing) == 0 {
		b.WriteString("  nothing: all that was asked for is here\n")
	}
	for _, line := range a.missing {
		b.WriteString("  " + strings.Join(wrap(line, 76), "\n    ") + "\n")
	}
	return errors.Join(a.add("README.txt", "this list", b.String()), a.tar.Close(), a.zip.Close())
}

// bundleWords say what a reader has to know.
const bundleWords = `Removed are the data of Secrets (they were never read), the values of
environment variables, annotations that repeat a whole object, and what looks
like a password, a token or a key in any object, log or table. It says REDACTED
there. Not removed are names, addresses, labels and AS numbers: look through it
before you hand it to somebody, such as by

  grep -r -i -n -e passw -e secret -e token .
`
