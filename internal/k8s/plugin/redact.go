package plugin

import (
	"regexp"
	"slices"
	"strings"
)

// redacted is put in place of what nobody else is to see.
const redacted = "REDACTED"

// secretive is what is in the name of something that holds a secret.
var secretive = regexp.MustCompile(`(?i)passw|passphrase|passwd|secret|token|credential|htpasswd|(private|api|access|encryption|signing|ssh|tls|shared|auth|gossip|account)[-_. ]?key|signature|(pass|pwd|authorization|cookie)$|[-_.](pw|key|auth)$|^pw$`)

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
	// RFC 3986 has it after ://; Go's drivers of databases have me:password@tcp(host).
	dsn = regexp.MustCompile(`:[^\s@"']+@(tcp|unix)\(`)
	// password=..., "token": "...", --api-key ... are a name, what is between, and the secret. A flag begins a word:
	// bgp-password is none.
	pair     = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_.\-]*)\\*["']?[ \t]*(?::=|=>|=|:)[ \t]*`)
	argument = regexp.MustCompile(`((?:^|[^A-Za-z0-9_.\-])--?)([A-Za-z][A-Za-z0-9_.\-]*)([ \t]+)("[^"\n]*"|'[^'\n]*'|[^\s-]\S*)`)
	// What a line of YAML may have before a name, where a block begins, and an item of a list.
	beforeName = regexp.MustCompile(`^[ \t]*(- +)*["']?$`)
	block      = regexp.MustCompile(`^[|>][0-9+-]*[ \t]*\n`)
	item       = regexp.MustCompile(`^[ \t]*- `)
)

// redactText removes what looks like a secret from a text.
func redactText(s string) string {
	s = pem.ReplaceAllString(s, redacted)
	s = jwt.ReplaceAllString(s, redacted)
	s = bearer.ReplaceAllString(s, "${1}${2}"+redacted)
	s = userinfo.ReplaceAllString(s, "${1}"+redacted+"@")
	s = dsn.ReplaceAllString(s, ":"+redacted+"@${1}(")
	s = key32.ReplaceAllString(s, "${1}"+redacted+"${2}")
	s = redactPairs(s)
	return argument.ReplaceAllStringFunc(s, func(match string) string {
		m := argument.FindStringSubmatch(match)
		if !holdsSecret(m[2]) || strings.HasPrefix(m[4], redacted) { // with the quotation mark after it
			return match
		}
		return m[1] + m[2] + m[3] + redacted
	})
}

// redactPairs removes the values that have names of secrets.
func redactPairs(s string) string {
	var b strings.Builder
	for {
		at := pair.FindStringSubmatchIndex(s)
		if at == nil {
			return b.String() + s
		}
		name, before := s[at[2]:at[3]], s[strings.LastIndexByte(s[:at[2]], '\n')+1:at[2]]
		b.WriteString(s[:at[1]])
		if s = s[at[1]:]; holdsSecret(name) {
			begin, end := secretIn(s, name, before)
			if end > begin {
				b.WriteString(s[:begin] + redacted)
			}
			s = s[end:]
		}
	}
}

// secretIn returns where in a text is the value that it begins with; before is what the line has before its name.
func secretIn(s, name, before string) (begin, end int) {
	line := len(s)
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		line = i
	}
	if slashes := len(s) - len(strings.TrimLeft(s, `\`)); slashes < line && strings.IndexByte(`"'`, s[slashes]) >= 0 {
		if end := closing(s, slashes); end > 0 {
			return slashes + 1, end - slashes
		}
		return 0, line // it is cut off
	}
	if beforeName.MatchString(before) && (strings.TrimSpace(s[:line]) == "" || block.MatchString(s)) {
		return belowIn(s, line, len(before)-len(strings.TrimLeft(before, " \t")))
	}
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s[:line], ']'); i >= 0 {
			line = i
		}
		return 1, max(line, 1)
	}
	if header.MatchString(name) { // its words are one
		line = strings.IndexAny(s[:line]+"\"", "\"'")
	} else if i := strings.IndexAny(s[:line], " \t\r\f\v"); i >= 0 {
		line = i
	}
	return 0, len(strings.TrimRight(s[:line], "\"',;)]}\\"))
}

// header is what may have values of several words.
var header = regexp.MustCompile(`(?i)(authorization|cookie)$`)

// closing returns where the quotation mark is that closes the value which one opens after so many backslashes; 0 if none
// does. Of JSON in JSON the marks have a backslash, and those within values three.
func closing(s string, slashes int) int {
	mark, count := s[slashes], 0
	for i := slashes + 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			count++
			continue
		case s[i] == mark && mark == '\'' && slashes == 0 && i+1 < len(s) && s[i+1] == mark:
			i++ // YAML has two for one
		case s[i] == mark && count >= slashes && (count-slashes)%(2*(slashes+1)) == 0:
			return i
		}
		count = 0
	}
	return 0
}

// belowIn returns which lines below one are its value: those that are indented more, if a block begins there, or the
// items of a list.
func belowIn(s string, line, indent int) (begin, end int) {
	isBlock := line < len(s) && strings.TrimSpace(s[:line]) != ""
	for at := line + 1; at < len(s); {
		next := len(s)
		if i := strings.IndexByte(s[at:], '\n'); i >= 0 {
			next = at + i
		}
		text := s[at:next]
		deep := len(text) - len(strings.TrimLeft(text, " \t"))
		switch {
		case isBlock && (strings.TrimSpace(text) == "" || deep > indent):
		case !isBlock && item.MatchString(text) && deep >= indent && !pair.MatchString(text):
		default:
			return begin, end
		}
		if begin == 0 {
			begin = at + deep
		}
		end, at = next, next+1
	}
	return begin, end
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
	if name, _ := m["name"].(string); holdsSecret(name) { // as of a header, or of a setting
		if value, has := m["value"].(string); has && value != "" {
			m["value"] = redacted
		}
	}
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
			s, _ := x.(string)
			flag, of, both := strings.Cut(s, "=")
			if !strings.HasPrefix(s, "-") || strings.ContainsAny(flag, " \t\n") || !holdsSecret(strings.TrimLeft(flag, "-")) {
				continue
			}
			if both && of != "" {
				value[i] = flag + "=" + redacted
			} else if i+1 < len(value) && !both { // "--password", "x" are two arguments
				if next, is := value[i+1].(string); is && !strings.HasPrefix(next, "--") {
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
