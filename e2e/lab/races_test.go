package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRaces(t *testing.T) {
	const mark = "==================\n"
	for _, tt := range []struct {
		name string
		logs map[string]string
		want []string
	}{
		{"no log is no race", nil, nil},
		{"what a program says of races is none", map[string]string{"speaker-node1": "level=INFO msg=\"DATA RACE\"\n" + mark}, nil},
		{"each report is found, in each log", map[string]string{
			"speaker-node1": "a line\n" + mark + "WARNING: DATA RACE\nfirst\n" + mark + "a line\n" + mark + "WARNING: DATA RACE\nsecond\n" + mark,
			"controller":    mark + "WARNING: DATA RACE\nthird\n" + mark,
		}, []string{"controller has a data race:\nthird\n", "speaker-node1 has a data race:\nfirst\n", "speaker-node1 has a data race:\nsecond\n"}},
		{"one is found that was cut short, since the program was killed", map[string]string{"controller": mark + "WARNING: DATA RACE\nhalf"},
			[]string{"controller has a data race:\nhalf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directory := t.TempDir()
			for name, text := range tt.logs {
				if err := os.WriteFile(filepath.Join(directory, name+".log"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := races(directory); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("found %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
