package plugin

import (
	"regexp"
	"slices"
	"strings"
)

// redacted is put in place of what nobody else is to see.
const redacted = "REDACTED"

// secretive is what is in the name of something that holds a secret.
var secretive = regexp.MustCompile(`(?i)passw|passphrase|passwd|secret|token|credential|htpasswd|(private|api|access|encryption|signing|ssh|tls|shared|auth|gossip|account)[-_. ]?key|[-_.](pass|pw|pwd|key|auth)$|^(pass|pw|pwd|authorization|cookie)$`)

// harmless is how names end that only say where a secret is, or what it is called.
var harmless = regexp.MustCompile(`(?i)(name|names|file|path|dir|ref|namespace|type|ttl|expiration|seconds|mode|key-file)$`)

// holdsSecret tells by its name whether something holds a secret.
func holdsSecret(name string) bool {
	switch name {
	case "passwordSecret", // of a BGPPeer: the name of a Secret, which messages quote
		"Secrets", "secrets": // the kind, which errors begin with
		return false
	}
	return secretive.MatchString(name) && !harmless.MatchString(name)
}

// Shapes of secrets in texts.
var (
	pem = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`)
	// RFC 7519 section 3: three parts of base64url, of which the first two begin as `{"`.
	jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.?[A-Za-z0-9_-]*`)
	// RFC 9110 section 11.4.
	bearer = regexp.MustCompile(`(?i)\b(bearer|basic|digest)(\s+)[A-Za-z0-9._~+/=-]{8,}`)
	// RFC 3986 section 3.2.1: what is between :// and @.
	userinfo = regexp.MustCompile(`(://)[^\s/@"'<>]+@`)
	// Base64 of 32 bytes, as a gossip key has.
	key32 = regexp.MustCompile(`(^|[^A-Za-z0-9+/=_-])[A-Za-z0-9+/]{43}=($|[^A-Za-z0-9+/=])`)
	// password=..., "token": "...", --api-key ... are a name, what is between, and the secret.
	pair     = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_.\-]*)(\\?["']?\s*(?::=|=>|=|:)\s*)(\\?"(?:[^"\\]|\\[^"])*\\?"|'[^']*'|[^\s,;&"'{}\[\]\\]+)`)
	argument = regexp.MustCompile(`(--?)([A-Za-z][A-Za-z0-9_.\-]*)(\s+)([^\s-][^\s]*)`)
)

// redactText removes what looks like a secret from a text.
func redactText(s string) string {
	s = pem.ReplaceAllString(s, redacted)
	s = jwt.ReplaceAllString(s, redacted)
	s = bearer.ReplaceAllString(s, "${1}${2}"+redacted)
	s = userinfo.ReplaceAllString(s, "${1}"+redacted+"@")
	s = key32.ReplaceAllString(s, "${1}"+redacted+"${2}")
	s = pair.ReplaceAllStringFunc(s, func(match string) string {
		m := pair.FindStringSubmatch(match)
		if !holdsSecret(m[1]) {
			// What follows may be a pair itself: {config: "password=x"}.
			return m[1] + m[2] + redactValue(m[3])
		}
		return m[1] + m[2] + quotedAs(m[3])
	})
	return argument.ReplaceAllStringFunc(s, func(match string) string {
		m := argument.FindStringSubmatch(match)
		if !holdsSecret(m[2]) || m[4] == redacted {
			return match
		}
		return m[1] + m[2] + m[3] + redacted
	})
}

// redactValue looks into a value that is in quotation marks.
func redactValue(value string) string {
	inner := strings.Trim(value, `\"'`)
	if !pair.MatchString(inner) {
		return value
	}
	return strings.Replace(value, inner, redactText(inner), 1)
}

// quotedAs is redacted, in the quotation marks of a value.
func quotedAs(value string) string {
	for _, mark := range []string{`\"`, `"`, `'`} {
		if strings.HasPrefix(value, mark) && strings.HasSuffix(value, mark) && len(value) >= 2*len(mark) {
			return mark + redacted + mark
		}
	}
	return redacted
}

// dropped are annotations that repeat an object as it was written, whatever is in it.
var dropped = []string{"kubectl.kubernetes.io/last-applied-configuration", "objectset.rio.cattle.io/applied", "meta.helm.sh/release-values"}

// told are environment variables whose values are told: those that Go and Kubernetes read.
var told = []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NO_PROXY", "no_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "TZ"}

// redactObject removes secrets from an object, as JSON decodes it, and what only takes room; in place.
func redactObject(object map[string]any) {
	if metadata, ok := object["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			for _, name := range dropped {
				delete(annotations, name)
			}
		}
	}
	switch kind, _ := object["kind"].(string); kind {
	case "Secret":
		delete(object, "data")
		delete(object, "stringData")
	case "Node":
		if status, ok := object["status"].(map[string]any); ok {
			delete(status, "images")
		}
	}
	redactMap(object)
}

func redactMap(m map[string]any) {
	for name, value := range m {
		if list, is := value.([]any); is && name == "env" {
			redactEnvironment(list)
		}
		m[name] = redactAny(name, value)
	}
}

// redactAny returns a value of JSON without secrets.
func redactAny(name string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		redactMap(value)
	case []any:
		for i, x := range value {
			value[i] = redactAny(name, x)
			// "--password", "x" are two arguments.
			if s, is := x.(string); is && i+1 < len(value) && strings.HasPrefix(s, "-") && !strings.Contains(s, "=") && holdsSecret(strings.TrimLeft(s, "-")) {
				if next, is := value[i+1].(string); is && !strings.HasPrefix(next, "-") {
					value[i+1] = redacted
				}
			}
		}
	case string:
		if holdsSecret(name) && value != "" {
			return redacted
		}
		return redactText(value)
	}
	return value
}

// redactEnvironment removes the values of environment variables, but for those that are known to be no secrets.
func redactEnvironment(list []any) {
	for _, x := range list {
		if variable, ok := x.(map[string]any); ok {
			name, _ := variable["name"].(string)
			if value, has := variable["value"].(string); has && value != "" && !slices.Contains(told, name) {
				variable["value"] = redacted
			}
		}
	}
}
