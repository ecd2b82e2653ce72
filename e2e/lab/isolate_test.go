package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// helpers are what the test binary does inside when helperVariable names it. Isolation works within
// isolation, so the tests see a lab's outer process and its namespaces from outside.
var helpers = map[string]func() int{
	"exit": func() int {
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
		return 7
	},
	"killed": func() int {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	},
	"signal": func() int {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		fmt.Println("ready")
		<-signals
		return 3
	},
	"orphan": helpOrphan,
	"serve":  helpServe,
	"twice":  helpTwice,
}

// helpOrphan leaves a process without a parent behind and sees whether init reaps it.
func helpOrphan() int {
	output, err := exec.Command("sh", "-c", "sleep 0.05 & echo $!").Output()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(output))); err != nil {
			return 0
		}
	}
	fmt.Println("the orphan is not reaped")
	return 1
}

// helpServe starts a lab, writes the kubeconfig where LAB_TEST_KUBECONFIG says, and stays.
func helpServe() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l, err := Start(ctx, Config{})
	if err == nil {
		err = l.WriteKubeconfig(os.Getenv("LAB_TEST_KUBECONFIG"))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	select {}
}

// helpTwice runs one lab after the other and sees whether the first leaves anything.
func helpTwice() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var left [3]string
	for i := range left {
		// The first round counts what the process opens once for all.
		l, err := Start(ctx, Config{})
		if err == nil {
			_, err = l.Deploy(ctx, Backend{Name: "web", Node: "node1"})
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		if _, err := Start(ctx, Config{}); err == nil {
			fmt.Println("a second lab beside the first")
			return 1
		}
		l.Stop()
		l.Stop()
		for range 50 {
			left[i] = remains()
			if i > 0 && left[i] == left[i-1] {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Println(left[i])
	}
	if left[2] != left[1] {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%s\n", stacks[:runtime.Stack(stacks, true)])
		return 1
	}
	return 0
}

// remains counts what a lab could leave in its process, and below it.
func remains() string {
	descriptors, _ := os.ReadDir("/proc/self/fd")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	names, _ := os.ReadDir(netnsDirectory)
	return fmt.Sprintf("%d goroutines, %d descriptors, %d mounts, %d namespaces, %d processes",
		runtime.NumGoroutine(), len(descriptors), bytes.Count(mounts, []byte("\n")), len(names), len(processTree(os.Getpid())))
}

// helper is this binary, about to be started as a helper.
func helper(t *testing.T, name string, environment ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Args[0] = os.Args[0]
	command.Env = append(append(os.Environ(), helperVariable+"="+name), environment...)
	return command
}

func TestIsolateIsTransparent(t *testing.T) {
	for _, test := range []struct {
		name, helper string
		want         int
	}{
		{"the exit status is passed on", "exit", 7},
		{"a death by signal looks like one in a shell", "killed", 128 + 9},
		{"orphans are reaped", "orphan", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := helper(t, test.helper)
			var output, failure bytes.Buffer
			command.Stdout, command.Stderr = &output, &failure
			_ = command.Run()
			if got := command.ProcessState.ExitCode(); got != test.want {
				t.Errorf("exit status %d, want %d; output %q", got, test.want, output.String())
			}
			if test.helper == "exit" && (output.String() != "out\n" || failure.String() != "err\n") {
				t.Errorf("output %q and %q", output.String(), failure.String())
			}
		})
	}
}

func TestIsolateForwardsSignals(t *testing.T) {
	command := helper(t, "signal")
	startAndAwait(t, command, "ready")
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if got := command.ProcessState.ExitCode(); got != 3 {
		t.Errorf("exit status %d, want 3", got)
	}
}

// startAndAwait starts a command and waits for a line of its output.
func startAndAwait(t *testing.T, command *exec.Cmd, line string) {
	t.Helper()
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if lines.Text() == line {
			return
		}
		t.Log(lines.Text())
	}
	t.Fatalf("it did not say %q", line)
}

func TestLabsOneAfterTheOther(t *testing.T) {
	output, err := helper(t, "twice").CombinedOutput()
	t.Logf("\n%s", output)
	if err != nil {
		t.Error(err)
	}
}

// TestKilledLabLeavesNothing kills the process outside of a whole lab with SIGKILL, so that none of its code
// can tidy up. A veth end here whose other end is in a namespace of that lab goes when the kernel destroys
// the namespace, and not before.
func TestKilledLabLeavesNothing(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	command := helper(t, "serve", "LAB_TEST_KUBECONFIG="+kubeconfig)
	startAndAwait(t, command, "ready")

	// From out here, which is that lab's outside, its API server answers.
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := kubernetes.NewForConfigOrDie(config).Discovery().ServerVersion(); err != nil {
		t.Errorf("with the kubeconfig from outside: %v", err)
	} else {
		t.Logf("%s answers at %s", version.GitVersion, config.Host)
	}

	processes := processTree(command.Process.Pid)
	for _, name := range []string{"etcd", "kube-apiserver", "kube-proxy"} {
		if !slices.ContainsFunc(processes, func(p process) bool { return p.program == name }) {
			t.Errorf("%s is not among %v", name, processes)
		}
	}
	inside := processes[1].pid
	witnesses, err := newNamespace("witnesses")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = witnesses.close() })
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/root%s/*", inside, netnsDirectory))
	if err != nil || len(paths) != 5 { // switch, cp, node1, node1-pods, client1
		t.Fatalf("the lab's namespaces: %v, %v", paths, err)
	}
	for i, path := range append(paths, fmt.Sprintf("/proc/%d/ns/net", inside)) {
		ns, err := netns.GetFromPath(path)
		if err != nil {
			t.Fatal(err)
		}
		err = witnesses.nl.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("witness%d", i)}, PeerName: "watched", PeerNamespace: netlink.NsFd(ns),
		})
		ns.Close()
		if err != nil {
			t.Fatalf("putting a witness into %s: %v", path, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), labDirectory+"/") && current.Load() == nil {
		t.Error("mounts of the lab are seen outside")
	}

	begin := time.Now()
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	// The kernel takes namespaces down one after the other, those of a large lab before this one first.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = wait(ctx, "the processes of the killed lab to be gone", func(context.Context) (bool, error) {
		for _, p := range processes {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid)); err == nil {
				return false, fmt.Errorf("%d is there: %s", p.pid, text)
			}
		}
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d processes are gone %v after the kill", len(processes), time.Since(begin).Round(time.Millisecond))
	err = wait(ctx, "the namespaces of the killed lab to be gone", func(context.Context) (bool, error) {
		links, err := witnesses.nl.LinkList()
		var names []string
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "witness") {
				names = append(names, l.Attrs().Name)
			}
		}
		if len(names) > 0 {
			err = fmt.Errorf("there are %v", names)
		}
		return len(names) == 0 && err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d network namespaces are gone %v after the kill", len(paths)+1, time.Since(begin).Round(time.Millisecond))
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(config.Host, "https://"), time.Second); err == nil {
		t.Error("something listens for the kubeconfig still")
	}
}

type process struct {
	pid     int
	program string
}

// processTree are a process's descendants, children before grandchildren: of a lab's outer process, its init,
// then the process inside, then what that has started.
func processTree(root int) []process {
	children := map[int][]process{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		program := string(text[bytes.IndexByte(text, '(')+1 : bytes.LastIndexByte(text, ')')])
		if command, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); err == nil {
			program = filepath.Base(string(command[:max(0, bytes.IndexByte(command, 0))]))
		}
		parent, _ := strconv.Atoi(strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[1])
		children[parent] = append(children[parent], process{pid, program})
	}
	var tree []process
	for next := children[root]; len(next) > 0; {
		var deeper []process
		for _, p := range next {
			tree = append(tree, p)
			deeper = append(deeper, children[p.pid]...)
		}
		next = deeper
	}
	return tree
}
