package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func main() {
	os.Exit(lab.Isolate(lab.Isolation{}, func() int {
		if err := run(); err != nil {
			fmt.Println("ERROR", err)
			return 1
		}
		return 0
	}))
}

const pool = `apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: edge}
spec:
  addresses: ["198.18.0.0/17", "2001:db8:1::/64"]
`

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func get(l *lab.Lab, path string) string {
	tr := &http.Transport{DialContext: l.CP.DialContext}
	r, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("http://127.0.0.1:7472" + path)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

func grep(s string, subs ...string) {
	for _, line := range strings.Split(s, "\n") {
		for _, x := range subs {
			if strings.Contains(line, x) && !strings.HasPrefix(line, "#") {
				fmt.Println("   ", line)
			}
		}
	}
}

var _ = net.IPv4len

func run() error {
	ctx := context.Background()
	n := must(strconv.Atoi(os.Args[1]))
	args := []string{}
	l := must(lab.Start(ctx, lab.Config{Nodes: 1, Clients: 1, ControllerBinary: "/tmp/fairlead-controller", ControllerArgs: args}))
	defer l.Stop()
	ctl := l.Controllers[0]
	if err := l.Apply(ctx, []byte(pool)); err != nil {
		return err
	}
	cfg := l.RESTConfig()
	cfg.QPS = -1
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	k := must(kubernetes.NewForConfig(cfg))
	time.Sleep(2 * time.Second)
	fmt.Println(get(l, "/readyz"))

	var mu sync.Mutex
	seen := map[string]time.Time{}
	w := must(k.CoreV1().Services("").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"}))
	go func() {
		for e := range w.ResultChan() {
			if s, ok := e.Object.(*corev1.Service); ok && len(s.Status.LoadBalancer.Ingress) > 0 {
				mu.Lock()
				if _, ok := seen[s.Name]; !ok {
					seen[s.Name] = time.Now()
				}
				mu.Unlock()
			}
		}
	}()
	mk := func(name string) *corev1.Service {
		no := false
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: &no,
			Selector: map[string]string{"app": "x"}, Ports: []corev1.ServicePort{{Port: 80}},
		}}
	}
	cpu0 := must(ctl.CPUTime())
	began := time.Now()
	start, end := map[string]time.Time{}, map[string]time.Time{}
	var wg sync.WaitGroup
	ch := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range ch {
				name := fmt.Sprintf("svc-%05d", i)
				t0 := time.Now()
				if _, err := k.CoreV1().Services("default").Create(ctx, mk(name), metav1.CreateOptions{}); err != nil {
					fmt.Println(err)
				}
				t1 := time.Now()
				mu.Lock()
				start[name], end[name] = t0, t1
				mu.Unlock()
			}
		})
	}
	for i := range n {
		ch <- i
	}
	close(ch)
	wg.Wait()
	fmt.Printf("created %d in %v\n", n, time.Since(began))
	for time.Since(began) < 2*time.Minute {
		mu.Lock()
		m := len(seen)
		mu.Unlock()
		if m >= n {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Printf("all assigned %v after start; CPU then %v\n", time.Since(began), must(ctl.CPUTime())-cpu0)
	var lat, lat2 []time.Duration
	mu.Lock()
	for name, t := range seen {
		lat = append(lat, t.Sub(end[name]))
		lat2 = append(lat2, t.Sub(start[name]))
	}
	mu.Unlock()
	for _, x := range [][]time.Duration{lat, lat2} {
		sort.Slice(x, func(i, j int) bool { return x[i] < x[j] })
		fmt.Printf("latency p50 %v p90 %v p99 %v max %v\n", x[len(x)/2], x[len(x)*9/10], x[len(x)*99/100], x[len(x)-1])
	}
	for range 60 {
		time.Sleep(500 * time.Millisecond)
		ev := must(k.CoreV1().Events("default").List(ctx, metav1.ListOptions{}))
		c := 0
		for _, e := range ev.Items {
			if e.Reason == "AddressAssigned" {
				c++
			}
		}
		if c >= n {
			fmt.Printf("%d events after %v\n", c, time.Since(began))
			break
		}
	}
	time.Sleep(2 * time.Second)
	fmt.Printf("CPU settled %v RSS %d MB\n", must(ctl.CPUTime())-cpu0, must(ctl.RSS())>>20)
	grep(get(l, "/metrics"), "fairlead_controller_", "fairlead_api", "fairlead_events")
	list := must(k.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"}))
	ips, rvs := map[string]string{}, map[string]string{}
	for _, s := range list.Items {
		for _, in := range s.Status.LoadBalancer.Ingress {
			if o := ips[in.IP]; o != "" {
				fmt.Println("DUPLICATE", o, s.Name)
			}
			ips[in.IP] = s.Name
		}
		rvs[s.Name] = s.ResourceVersion
	}
	fmt.Println(len(ips), "addresses")
	raw := must(k.CoreV1().RESTClient().Get().AbsPath("/apis/fairlead.dev/v1alpha1/ipaddresspools/edge").SetHeader("Accept", "application/json").Do(ctx).Raw())
	fmt.Println(string(raw[strings.Index(string(raw), `"status"`):]))
	// one more
	var one []time.Duration
	for i := range 20 {
		name := fmt.Sprintf("one-%d", i)
		must(k.CoreV1().Services("default").Create(ctx, mk(name), metav1.CreateOptions{}))
		t1 := time.Now()
		for {
			mu.Lock()
			t, ok := seen[name]
			mu.Unlock()
			if ok {
				one = append(one, t.Sub(t1))
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	slices.Sort(one)
	fmt.Println("one more: p50", one[10], "max", one[19])
	time.Sleep(1500 * time.Millisecond)

	// restart
	before := map[string]string{}
	list = must(k.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"}))
	for _, s := range list.Items {
		before[s.Name] = s.ResourceVersion
	}
	t0 := time.Now()
	if err := ctl.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	if b, err := os.ReadFile("/tmp/prof/cpu.pb"); err == nil {
		_ = os.WriteFile("/tmp/prof/first.pb", b, 0o644)
	}
	fmt.Println("stopped in", time.Since(t0), must(ctl.ExitCode()))
	t0 = time.Now()
	if err := ctl.Start(); err != nil {
		return err
	}
	must(k.CoreV1().Services("default").Create(ctx, mk("after"), metav1.CreateOptions{}))
	for {
		mu.Lock()
		t, ok := seen["after"]
		mu.Unlock()
		if ok {
			fmt.Println("first new address after restart:", t.Sub(t0), "CPU", must(ctl.CPUTime()))
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(3 * time.Second)
	list = must(k.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"}))
	rewritten := 0
	for _, s := range list.Items {
		if b, ok := before[s.Name]; ok && b != s.ResourceVersion {
			rewritten++
		}
	}
	fmt.Println("rewritten after restart:", rewritten)
	grep(get(l, "/metrics"), "writes_total", "fairlead_api", "fairlead_events")
	// deletion
	cpu1 := must(ctl.CPUTime())
	for _, s := range list.Items {
		_ = k.CoreV1().Services("default").Delete(ctx, s.Name, metav1.DeleteOptions{})
	}
	time.Sleep(3 * time.Second)
	fmt.Println("CPU of deletion", must(ctl.CPUTime())-cpu1)
	grep(get(l, "/metrics"), "fairlead_controller_", "fairlead_api")
	// API server away
	_ = l.StopAPIServer()
	time.Sleep(14 * time.Second)
	fmt.Println("running:", ctl.Running(), get(l, "/readyz"), get(l, "/healthz"))
	if err := l.StartAPIServer(ctx); err != nil {
		return err
	}
	t0 = time.Now()
	w2 := time.Now()
	_ = w2
	must(k.CoreV1().Services("default").Create(ctx, mk("back"), metav1.CreateOptions{}))
	for {
		s := must(k.CoreV1().Services("default").Get(ctx, "back", metav1.GetOptions{}))
		if len(s.Status.LoadBalancer.Ingress) > 0 {
			fmt.Println("after API server is back:", time.Since(t0))
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := ctl.Log()
	lines := strings.Split(log, "\n")
	var keep []string
	for _, x := range lines {
		if !strings.Contains(x, "assigned 1") {
			keep = append(keep, x)
		}
	}
	fmt.Println(strings.Join(keep, "\n"))
	return nil
}
