package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// raced is true once a program of a lab of this process was found to have a data race. Isolate fails by it, whatever the
// tests say: they did not ask.
var raced atomic.Bool

// raceStatus is the exit status of a program of Go's that had a data race.
const raceStatus = 66

// Where Go's race detector begins a report, and the line that ends it. Programs have the detector if they were built with
// `make build RACE=1`; in the logs of others there is nothing to be found.
var (
	raceBegins = []byte("WARNING: DATA RACE\n")
	raceEnds   = []byte("==================\n")
)

// reportRaces looks for data races in the logs before they are gone.
func (l *Lab) reportRaces() error {
	found, err := races(l.path("logs"))
	for _, race := range found {
		raced.Store(true)
		l.progress(race)
	}
	return err
}

// races returns the reports of Go's race detector in the logs of a directory, each behind the name of its log.
func races(directory string) (found []string, err error) {
	logs, err := filepath.Glob(filepath.Join(directory, "*.log"))
	if err != nil {
		return nil, fmt.Errorf("looking for data races in %s: %w", directory, err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return found, fmt.Errorf("looking for data races: %w", err)
		}
		for name := strings.TrimSuffix(filepath.Base(path), ".log"); ; {
			_, report, is := bytes.Cut(text, raceBegins)
			if !is {
				break
			}
			report, text, _ = bytes.Cut(report, raceEnds)
			found = append(found, fmt.Sprintf("%s has a data race:\n%s", name, report))
		}
	}
	return found, nil
}
