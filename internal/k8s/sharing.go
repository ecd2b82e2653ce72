package k8s

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ReasonInvalidSharingKey refuses a sharing key that cannot be one.
const ReasonInvalidSharingKey allocator.Reason = "InvalidSharingKey"

// mostKeyBytes bounds a sharing key: it is quoted in conditions and events.
const mostKeyBytes = 253

// SharingKey returns the key by which a Service shares its addresses, empty if it shares with nobody: it has
// no key, or one that Request refuses.
func SharingKey(svc *corev1.Service) string {
	key, _, _ := sharingMeaning.read(svc.Annotations)
	return key
}

// parseSharingKey reads a sharing key. Spaces inside are fine, as in MetalLB; what cannot be seen is not, since
// two keys that look alike should be alike.
func parseSharingKey(s string) (string, error) {
	key := strings.TrimSpace(s)
	if len(key) > mostKeyBytes {
		return "", fmt.Errorf("the key has %d bytes; write at most %d", len(key), mostKeyBytes)
	}
	for i, r := range key {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(key[i:]); size == 1 {
				return "", fmt.Errorf("the key has the byte %#x, which is not UTF-8; remove it", key[i])
			}
		}
		if !unicode.IsPrint(r) {
			return "", fmt.Errorf("the key has the character %U, which cannot be seen; remove it", r)
		}
	}
	return key, nil
}

// sharing says with whom a Service of a key may share, nobody if the key is empty.
func sharing(svc *corev1.Service, key string) lb.Sharing {
	if key == "" {
		return lb.Sharing{}
	}
	s := lb.Sharing{Key: key, Ports: portsOf(svc)}
	if needsSelector(svc) {
		s.Backends = svc.Namespace + "/" + labels.Set(svc.Spec.Selector).String() // sorted
		if len(svc.Spec.Selector) == 0 {
			// Its endpoints are somebody's handiwork, and no other Service's are known to be the same. A selector has
			// an equals sign and a name has none, so that the two cannot be mistaken.
			s.Backends = Key(svc).String()
		}
	}
	return s
}

// portsOf returns the ports that a Service takes of its addresses, sorted.
func portsOf(svc *corev1.Service) []lb.Port {
	ports := make([]lb.Port, 0, len(svc.Spec.Ports))
	for _, p := range svc.Spec.Ports {
		ports = append(ports, lb.Port{Protocol: string(cmp.Or(p.Protocol, corev1.ProtocolTCP)), Number: uint16(p.Port)})
	}
	slices.SortFunc(ports, func(a, b lb.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(ports)
}

// needsSelector tells whether it matters to sharing which Pods a Service selects.
func needsSelector(svc *corev1.Service) bool {
	return svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
