package k8s

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSharingKey(t *testing.T) {
	tests := []struct{ name, value, want, problem string }{
		{"a word", "key", "key", ""},
		{"spaces around it", "\n key\t", "key", ""},
		{"spaces inside, as MetalLB's users have", "key to 192.0.2.1", "key to 192.0.2.1", ""},
		{"any letters and signs", "ключ/№1,*=\"%s\"", "ключ/№1,*=\"%s\"", ""},
		{"the sign for what could not be read", "\ufffd", "\ufffd", ""},
		{"of the greatest length", strings.Repeat("k", 253), strings.Repeat("k", 253), ""},
		{"too long", strings.Repeat("k", 254), "", "the key has 254 bytes; write at most 253"},
		{"too long in letters of two bytes", strings.Repeat("к", 127), "", "the key has 254 bytes; write at most 253"},
		{"nothing but spaces", " \t ", "", "is empty; give a key, or remove it"},
		{"a tab inside", "a\tb", "", "the key has the character U+0009, which cannot be seen; remove it"},
		{"a line break inside", "a\nb", "", "the key has the character U+000A, which cannot be seen; remove it"},
		{"a zero", "a\x00b", "", "the key has the character U+0000, which cannot be seen; remove it"},
		{"a space of no width", "a\u200bb", "", "the key has the character U+200B, which cannot be seen; remove it"},
		{"a space that does not break", "a\u00a0b", "", "the key has the character U+00A0, which cannot be seen; remove it"},
		{"a turn of direction", "a\u202eb", "", "the key has the character U+202E, which cannot be seen; remove it"},
		{"what is not UTF-8", "a\xffb", "", "the key has the byte 0xff, which is not UTF-8; remove it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := web(annotated(AnnotationSharing, tt.value))
			r, problems := Request(svc, nil)
			if r.Sharing.Key != tt.want || SharingKey(svc) != tt.want {
				t.Errorf("keys %q and %q, want %q", r.Sharing.Key, SharingKey(svc), tt.want)
			}
			switch {
			case tt.problem == "" && len(problems) == 0:
			case len(problems) != 1 || tt.problem == "" || problems[0].Reason != ReasonInvalidSharingKey ||
				problems[0].Message != strings.Replace(AnnotationSharing+": "+tt.problem, ": is", " is", 1):
				t.Errorf("problems %v, want %q", problems, tt.problem)
			}
		})
	}
}

func TestSharing(t *testing.T) {
	selecting := func(labels ...string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{}
			for _, l := range labels {
				k, v, _ := strings.Cut(l, "=")
				s.Spec.Selector[k] = v
			}
		}
	}
	local := func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	named := func(namespace, name string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Namespace, s.Name = namespace, name }
	}
	key := annotated("metallb.io/allow-shared-ip", "k")
	tests := []struct {
		name     string
		svc      *corev1.Service
		backends string
	}{
		{"any node may send on to any", web(key, selecting("app=web")), ""},
		{"Local: its namespace and selector", web(key, local, selecting("app=web")), "default/app=web"},
		{"Local: in the order of labels", web(key, local, selecting("tier=front", "app=web", "b=")), "default/app=web,b=,tier=front"},
		{"Local: the Pods of another namespace are others", web(key, local, selecting("app=web"), named("team", "web")), "team/app=web"},
		{"Local: the name does not matter", web(key, local, selecting("app=web"), named("default", "dns")), "default/app=web"},
		{"Local without a selector: like no other", web(key, local), "default/web"},
		{"Local, shared with nobody", web(local, selecting("app=web")), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				r, problems := Request(tt.svc, nil)
				if r.Sharing.Backends != tt.backends || len(problems) > 0 {
					t.Errorf("backends %q, want %q; problems %v", r.Sharing.Backends, tt.backends, problems)
				}
				// What the watch trims must not be what this is read from.
				if _, err := Trim(tt.svc); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("ports are sorted, and TCP if nothing is said", func(t *testing.T) {
		r, _ := Request(web(key, ports("UDP/53", "/443", "TCP/80", "SCTP/80", "TCP/443")), nil)
		var got []string
		for _, p := range r.Sharing.Ports {
			got = append(got, p.String())
		}
		if s := strings.Join(got, " "); s != "SCTP/80 TCP/80 TCP/443 UDP/53" {
			t.Errorf("ports %s", s)
		}
	})
	t.Run("who shares with nobody has no ports to compare", func(t *testing.T) {
		if r, _ := Request(web(ports("TCP/80")), nil); len(r.Sharing.Ports) > 0 {
			t.Errorf("ports %v", r.Sharing.Ports)
		}
	})
}
