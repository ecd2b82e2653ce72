//go:build kind

package kind

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ui has the plugin make the status page reachable, which goes on when the controller that it comes from goes. The
// bundle has what comes by the same way.
func (w *world) ui(t *attempt) {
	w.stand(t)
	ctx, end := context.WithTimeout(t.Context(), commandTimeout)
	defer end()
	page := exec.CommandContext(ctx, "kubectl", "fairlead", "ui")
	page.Cancel = func() error { return page.Process.Signal(os.Interrupt) }
	var complaints strings.Builder
	page.Stderr = &complaints
	said, err := page.StdoutPipe()
	if err == nil {
		err = page.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(said); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	next := func() string {
		line, more := <-lines
		if !more {
			t.Fatalf("kubectl fairlead ui ended: %s", &complaints)
		}
		t.Log(line)
		return line
	}
	_, rest, found := strings.Cut(next(), " at ")
	if !found {
		t.Fatal("it does not say where the page is")
	}
	address, _, _ := strings.Cut(rest, " ")
	if from := next(); !strings.Contains(from, leading(t).Name) {
		t.Errorf("%q, but %s leads", from, leading(t).Name)
	}
	answers := func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(address)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(body), "<title>")) {
			err = fmt.Errorf("%s: %.200s", response.Status, body)
		}
		return err
	}
	if err := answers(); err != nil {
		t.Fatal(err)
	}
	pod := leading(t)
	begin := time.Now()
	kubectl(t, "delete", "pod", pod.Name, "--namespace", namespace)
	eventually(t, 30*time.Second, "the page comes from another controller", answers)
	t.Logf("the page is back %.1f s after its Pod was deleted", time.Since(begin).Seconds())
	end()
	for range lines { // until it has ended
	}
	if err := page.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("kubectl fairlead ui, interrupted: %v: %s", err, &complaints)
	}
	w.awaitRollout(t, "deployment/fairlead-controller")

	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	kubectl(t, "fairlead", "support-bundle", "--file", bundle)
	content := must(t, "", "tar", "-tzf", bundle)
	for _, want := range []string{"metrics/fairlead-controller-", "metrics/fairlead-speaker-", "logs/fairlead-speaker-", "installation/secrets-metadata.yaml", "README.txt"} {
		if !strings.Contains(content, want) {
			t.Errorf("the bundle lacks %s:\n%s", want, content)
		}
	}
	readme := must(t, "", "tar", "-xzOf", bundle, "--wildcards", "*/README.txt")
	if !strings.Contains(readme, "nothing: all that was asked for is here") {
		t.Errorf("the bundle lacks something:\n%s", readme)
	}
	t.Log(kubectl(t, "fairlead", "status"))
}
