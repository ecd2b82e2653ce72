package plugin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRedactText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a password behind an equals sign", "connecting password=hunter2 to x", "connecting password=REDACTED to x"},
		{"a token in JSON", `{"api_token": "abc def", "n": 1}`, `{"api_token": "REDACTED", "n": 1}`},
		{"a token in JSON in JSON", `{"config":"{\"dbPassword\":\"hunter2\"}"}`, `{"config":"{\"dbPassword\":\"REDACTED\"}"}`},
		{"a pair in a pair", "message: password=hunter2", "message: password=REDACTED"},
		{"a flag and its value", "--db-password hunter2 --port 80", "--db-password REDACTED --port 80"},
		{"a header", "Authorization: Bearer abcdefghijkl", "Authorization: REDACTED"},
		{"a header of several words", "curl -H 'Cookie: a=x; b=y' z", "curl -H 'Cookie: REDACTED' z"},
		{"all of a password without quotes", "--password=hun,ter;2&x[y\"z --port=80", "--password=REDACTED --port=80"},
		{"what closes after it stays", `("the password: hunter2"),`, `("the password: REDACTED"),`},
		{"a quoted flag of several words", `--password "hun ter2" --port 80`, `--password REDACTED --port 80`},
		{"a quotation mark in a password", `{"password":"hun\"ter2","n":1}`, `{"password":"REDACTED","n":1}`},
		{"a quotation mark in JSON in JSON", `{"config":"{\"password\":\"hun\\\"ter2\",\"n\":1}"}`, `{"config":"{\"password\":\"REDACTED\",\"n\":1}"}`},
		{"a quotation that is cut off", "password=\"hunter2\nthen", "password=REDACTED\nthen"},
		{"an apostrophe in YAML", "password: 'it''s'\nuser: me", "password: 'REDACTED'\nuser: me"},
		{"a block of YAML", "db:\n  password: |\n    hun\n    ter2\n  user: me", "db:\n  password: |\n    REDACTED\n  user: me"},
		{"a list of YAML", "passwords:\n- hunter2\n- hunter3\nuser: me", "passwords:\nREDACTED\nuser: me"},
		{"a list of JSON", `{"tokens":["a", "b"],"n":1}`, `{"tokens":[REDACTED],"n":1}`},
		{"what is below a name stays, if it has names itself", "secret:\n  defaultMode: 420\n  secretName: tor", "secret:\n  defaultMode: 420\n  secretName: tor"},
		{"a database's address", "dsn me:hunter2@tcp(192.0.2.1:3306)/db", "dsn me:REDACTED@tcp(192.0.2.1:3306)/db"},
		{"a bearer token", "sent bearer abcdefghijkl", "sent bearer REDACTED"},
		{"a JSON web token", "got eyJhbGciOi.eyJzdWIiOi.c2ln from it", "got REDACTED from it"},
		{"a user in a URL", "https://me:hunter2@registry.example/x", "https://REDACTED@registry.example/x"},
		{"a private key", "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nthen", "REDACTED\nthen"},
		{"a private key that is cut off", "-----BEGIN PRIVATE KEY-----\nMHc", "REDACTED"},
		{"a gossip key", "key MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= end", "key REDACTED end"},
		{"the name of a Secret stays", "passwordSecret: there is no Secret tor", "passwordSecret: there is no Secret tor"},
		{"a file with a key stays", "--gossip-key-file=/etc/fairlead/gossip/secretkey", "--gossip-key-file=/etc/fairlead/gossip/secretkey"},
		{"what is below a name in YAML stays", "secret:\n  defaultMode: 256\n  secretName: x", "secret:\n  defaultMode: 256\n  secretName: x"},
		{"a name that ends as a flag does stays", "name: bgp-password\nnamespace: x, Secret bgp-password not found", "name: bgp-password\nnamespace: x, Secret bgp-password not found"},
		{"a flag with a value in quotation marks", `--token "hunter2 and" more`, `--token REDACTED more`},
		{"a flag in quotation marks, once more", `"--token REDACTED"`, `"--token REDACTED"`},
		{"addresses stay", "vip=2001:db8::1 mac=02:00:00:00:00:01 peer: 192.0.2.1:179", "vip=2001:db8::1 mac=02:00:00:00:00:01 peer: 192.0.2.1:179"},
		{"an image stays", "ghcr.io/x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "ghcr.io/x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		{"a log line stays", `time=2026-01-02 level=INFO msg="took over" vip=192.0.2.1 from=node2`, `time=2026-01-02 level=INFO msg="took over" vip=192.0.2.1 from=node2`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := redactText(tt.text)
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if again := redactText(got); again != got {
				t.Errorf("once more %q", again)
			}
		})
	}
}

func TestRedactObject(t *testing.T) {
	tests := []struct{ name, object, want string }{
		{"what was applied, and by whom", `{"metadata":{"managedFields":[1],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"x","a":"b"}}}`,
			`{"metadata":{"annotations":{"a":"b"}}}`},
		{"a password in an annotation", `{"metadata":{"annotations":{"example.com/db-password":"hunter2"}}}`,
			`{"metadata":{"annotations":{"example.com/db-password":"REDACTED"}}}`},
		{"the environment, but for what Go reads", `{"env":[{"name":"GOGC","value":"50"},{"name":"X","value":"hunter2"},{"name":"Y","valueFrom":{"fieldRef":{"fieldPath":"a"}}}]}`,
			`{"env":[{"name":"GOGC","value":"50"},{"name":"X","value":"REDACTED"},{"name":"Y","valueFrom":{"fieldRef":{"fieldPath":"a"}}}]}`},
		{"arguments", `{"args":["--token","hunter2","--log-level","info","--api-key=hunter2"]}`, `{"args":["--token","REDACTED","--log-level","info","--api-key=REDACTED"]}`},
		{"arguments as a whole", `{"args":["--password=hun,ter 2","--token","-hunter2","--auth-token","--port=1"]}`, `{"args":["--password=REDACTED","--token","REDACTED","--auth-token","--port=1"]}`},
		{"a header of a probe", `{"httpHeaders":[{"name":"Authorization","value":"hunter2"},{"name":"Accept","value":"text"}]}`, `{"httpHeaders":[{"name":"Authorization","value":"REDACTED"},{"name":"Accept","value":"text"}]}`},
		{"the name of a Secret stays", `{"spec":{"passwordSecret":{"name":"tor"}},"volumes":[{"secret":{"secretName":"fairlead-gossip"}}]}`,
			`{"spec":{"passwordSecret":{"name":"tor"}},"volumes":[{"secret":{"secretName":"fairlead-gossip"}}]}`},
		{"a Secret, however it came here", `{"kind":"Secret","data":{"a":"b"},"stringData":{"c":"d"},"type":"Opaque"}`, `{"kind":"Secret","type":"Opaque"}`},
		{"a label and a number", `{"metadata":{"labels":{"token":"hunter2"}},"tokens":3}`, `{"metadata":{"labels":{"token":"REDACTED"}},"tokens":3}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var object map[string]any
			if err := json.Unmarshal([]byte(tt.object), &object); err != nil {
				t.Fatal(err)
			}
			redactObject(object)
			got, err := json.Marshal(object)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func FuzzRedactText(f *testing.F) {
	for _, s := range []string{"password=x", `{"a":"b"}`, "--token x", "eyJhbGciOi.eyJzdWIiOi.c2ln", "a: b: c=d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		redactText(s)
		if planted := redactText(s + "\npassword=hunter2\n"); strings.Contains(planted, "hunter2") {
			t.Errorf("%q is told", planted)
		}
	})
}
