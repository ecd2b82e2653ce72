package plugin

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

// hostile clears the screen, sets the title of the window, turns the direction of writing, and begins a line of its own.
const hostile = "\x1b[2J\x1b]0;owned\x07\u202e\r\nroot# "

// spoiled writes hostile into every text of the cluster that an object's writer is free in: what others say in a status, a
// label's or an annotation's value, an error of a router.
func spoiled(t *testing.T, cluster []byte) []byte {
	t.Helper()
	free := []string{"message", "lastError", "reason", "version", "holderIdentity", "hardwareAddress", "timing", "interface", "from", "state", "lastNotification"}
	var spoil func(path []string, x any) any
	spoil = func(path []string, x any) any {
		switch x := x.(type) {
		case map[string]any:
			for key, value := range x {
				x[key] = spoil(append(slices.Clone(path), key), value)
			}
		case []any:
			for i, value := range x {
				x[i] = spoil(path, value)
			}
		case string:
			last := path[len(path)-1]
			within := func(key string) bool { return slices.Contains(path, key) }
			if slices.Contains(free, last) && within("status") || within("annotations") || within("labels") && last != "kubernetes.io/hostname" ||
				within("status") && last == "name" || last == "loadBalancerClass" || last == "holderIdentity" {
				return x + hostile
			}
		}
		return x
	}
	var documents []string
	for text := range strings.SplitSeq(string(cluster), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
			t.Fatalf("%v in\n%q", err, text)
		}
		if object == nil {
			continue
		}
		b, err := yaml.Marshal(spoil(nil, object))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(b))
	}
	return []byte(strings.Join(documents, "---\n"))
}

// What others wrote into objects does not command the terminal of who reads it, whatever command prints it.
func TestNoCommandPrintsControlCharacters(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inputs := map[string][]byte{}
		for _, f := range archive.Files {
			if !strings.Contains(f.Name, " ") && strings.HasSuffix(f.Name, ".yaml") {
				inputs[f.Name] = f.Data
				if f.Name == "cluster.yaml" {
					inputs[f.Name] = spoiled(t, f.Data)
				}
				continue
			}
			printed := run(inputs, f.Name)
			if strings.Contains(printed, "owned") {
				shown[strings.Fields(f.Name)[0]] = true
			}
			// JSON and YAML escape what is a control character, and leave the direction of writing as it is: they are data.
			data := strings.Contains(f.Name, "-o json") || strings.Contains(f.Name, "-o yaml")
			if i := strings.IndexFunc(printed, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || !data && !unicode.IsPrint(r)) }); i >= 0 {
				t.Errorf("%s: %s prints %q", file, f.Name, printed[max(0, i-60):min(len(printed), i+60)])
			}
			// A terminal's width breaks lines at any word.
			if last := f.Name[len(f.Name)-1]; (last < '0' || last > '9') && strings.Contains(printed, "\nroot#") {
				t.Errorf("%s: %s prints a line of another's", file, f.Name)
			}
		}
	}
	for _, command := range []string{"status", "services", "owners", "peers", "explain"} {
		if !shown[command] {
			t.Errorf("%s shows none of what was written: this test shows nothing", command)
		}
	}
}

// A manifest that grows when it is read (a "billion laughs") is refused at once.
func TestManifestsThatGrowAreRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		previous := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+previous+",", 9), ",") + "]\n"
	}
	if _, _, err := ReadManifests("bomb.yaml", bytes.NewReader([]byte(bomb))); err == nil {
		t.Error("taken")
	} else {
		t.Log(err)
	}
}
