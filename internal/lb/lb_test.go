package lb

import (
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	tests := []struct {
		name, in, want, err string
	}{
		{name: "one address", in: "192.0.2.1", want: "192.0.2.1-192.0.2.1"},
		{name: "one IPv6 address", in: "2001:db8::1", want: "2001:db8::1-2001:db8::1"},
		{name: "a CIDR", in: "192.0.2.0/30", want: "192.0.2.0-192.0.2.3"},
		{name: "a CIDR with host bits means its network", in: "192.0.2.2/30", want: "192.0.2.0-192.0.2.3"},
		{name: "a range", in: "192.0.2.1-192.0.2.9", want: "192.0.2.1-192.0.2.9"},
		{name: "a range with spaces", in: " 192.0.2.1 -  192.0.2.9 ", want: "192.0.2.1-192.0.2.9"},
		{name: "an IPv6 range", in: "2001:db8::1-2001:DB8::f", want: "2001:db8::1-2001:db8::f"},
		{name: "a range of one", in: "192.0.2.1-192.0.2.1", want: "192.0.2.1-192.0.2.1"},
		{name: "nothing", in: "", err: `"" is not an IP address`},
		{name: "a word", in: "eth0", err: `"eth0" is not an IP address`},
		{name: "an octet too large", in: "192.0.2.256", err: `"192.0.2.256" is not an IP address`},
		{name: "a prefix too long", in: "192.0.2.0/33", err: "is not a CIDR"},
		{name: "a reversed range", in: "192.0.2.9-192.0.2.1", err: "is reversed: write 192.0.2.1-192.0.2.9"},
		{name: "mixed families", in: "192.0.2.9-2001:db8::1", err: "mixes IPv4 and IPv6"},
		{name: "two dashes", in: "192.0.2.1-192.0.2.2-192.0.2.3", err: "is not a range"},
		{name: "a zone", in: "fe80::1%eth0", err: "has a zone"},
		{name: "an IPv4-mapped address", in: "::ffff:192.0.2.1", err: "write 192.0.2.1"},
		{name: "an IPv4-mapped CIDR", in: "::ffff:192.0.2.0/120", err: "is not a CIDR"},
		{name: "everything", in: "0.0.0.0/0", err: `reaches 0.0.0.0/8, "this network"`},
		{name: "multicast", in: "224.0.0.0/24", err: "reaches 224.0.0.0/4, multicast"},
		{name: "loopback", in: "127.0.0.1", err: "reaches 127.0.0.0/8, loopback"},
		{name: "loopback in the middle", in: "126.0.0.0-128.0.0.0", err: "reaches 127.0.0.0/8, loopback"},
		{name: "link-local", in: "fe80::/64", err: "reaches fe80::/10, link-local"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRange(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("ParseRange(%q) = %v, %v; want an error with %q", tt.in, got, err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("ParseRange(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
			}
		})
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1 - 192.0.2.9", "2001:db8::/64", "::ffff:1.2.3.4-::", "-", "/", "a-b/c%d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err == nil && !r.IsValid() {
			t.Errorf("ParseRange(%q) = invalid range %v without an error", s, r)
		}
		// what it prints it reads again, to the same
		if err == nil {
			if again, err := ParseRange(r.String()); err != nil || again != r {
				t.Errorf("ParseRange(%q) = %v, %v; want %v", r.String(), again, err, r)
			}
		}
	})
}

func TestParseKey(t *testing.T) {
	if k, err := ParseKey("default/web"); err != nil || k != (Key{"default", "web"}) {
		t.Errorf("ParseKey = %v, %v", k, err)
	}
	for _, s := range []string{"", "web", "/web", "default/", "a/b/c"} {
		if k, err := ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) = %v without an error", s, k)
		}
	}
}
