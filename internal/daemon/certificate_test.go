package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMetricsOverTLS(t *testing.T) {
	h, _ := served(Options{HTTPAddress: "127.0.0.1:0", MetricsTLSAddress: "127.0.0.1:0"})
	h.Authorize = func(_ context.Context, token string) (int, string) {
		switch token {
		case "good":
			return http.StatusOK, ""
		case "poor":
			return http.StatusForbidden, "poor may not"
		}
		return http.StatusUnauthorized, "who is that?"
	}
	address := started(t, h)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	tests := []struct {
		name, path, authorization string
		status                    int
		body, challenge           string
	}{
		{"no token", "/metrics", "", 401, noToken + "\n", "Bearer"},
		{"another scheme", "/metrics", "Basic good", 401, noToken + "\n", "Bearer"},
		{"an empty token", "/metrics", "Bearer ", 401, noToken + "\n", "Bearer"},
		{"an unknown token", "/metrics", "Bearer bad", 401, "who is that?\n", "Bearer"},
		{"a token without the right", "/metrics", "Bearer poor", 403, "poor may not\n", ""},
		{"a token with the right", "/metrics", "Bearer good", 200, "", ""},
		{"the scheme in small letters", "/metrics", "bearer good", 200, "", ""},
		{"health is elsewhere", "/healthz", "Bearer good", 404, "", ""},
		{"so is the level", "/loglevel", "Bearer good", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := fetch(t, client, "https://"+address+tt.path, tt.authorization)
			if response.StatusCode != tt.status || tt.body != "" && body != tt.body || response.Header.Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%d %q, challenge %q", response.StatusCode, body, response.Header.Get("WWW-Authenticate"))
			}
			if tt.status == 200 && !strings.Contains(body, "fairlead_build_info{") {
				t.Errorf("no metrics:\n%s", body)
			}
		})
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", address, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is good enough")
	}
}

// pair writes a new certificate and its key, and returns the certificate's serial number.
func pair(t *testing.T, certFile, keyFile string, at time.Time) string {
	t.Helper()
	made, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalECPrivateKey(made.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(made.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	put(t, certFile, "CERTIFICATE", made.Certificate[0], at)
	put(t, keyFile, "EC PRIVATE KEY", key, at)
	return leaf.SerialNumber.String()
}

func put(t *testing.T, file, kind string, der []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	h, out := served(Options{HTTPAddress: "127.0.0.1:0", MetricsTLSAddress: "127.0.0.1:0", MetricsTLSCertFile: certFile, MetricsTLSKeyFile: keyFile})
	at := time.Unix(1_700_000_000, 0)
	first := pair(t, certFile, keyFile, at)
	address := started(t, h)
	handshake := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	// The log is the server's while it writes, and it writes before the handshake has ended.
	complaints := func() int { return strings.Count(out.String(), "the new TLS certificate cannot be used") }
	if got := handshake(); got != first {
		t.Errorf("serial number %s, want %s", got, first)
	}
	put(t, certFile, "CERTIFICATE", []byte("garbage"), at.Add(time.Minute))
	for range 3 {
		if got := handshake(); got != first {
			t.Errorf("serial number %s, want the last good one's, %s", got, first)
		}
	}
	if complaints() != 1 {
		t.Errorf("told %d times of a broken certificate:\n%s", complaints(), out)
	}
	os.Remove(keyFile)
	handshake()
	second := pair(t, certFile, keyFile, at.Add(2*time.Minute))
	if got := handshake(); got != second {
		t.Errorf("serial number %s, want the new one's, %s", got, second)
	}
	// The key of one and the certificate of another, as between two writes.
	keyBefore, _ := os.ReadFile(keyFile)
	third := pair(t, certFile, keyFile, at.Add(3*time.Minute))
	keyAfter, _ := os.ReadFile(keyFile)
	if err := os.WriteFile(keyFile, keyBefore, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := handshake(); got != second {
		t.Errorf("serial number %s, want the last good one's, %s", got, second)
	}
	if err := os.WriteFile(keyFile, keyAfter, 0o600); err != nil || bytes.Equal(keyBefore, keyAfter) {
		t.Fatal(err)
	}
	if err := os.Chtimes(keyFile, at, at.Add(4*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := handshake(); got != third {
		t.Errorf("serial number %s, want the new one's, %s", got, third)
	}
}

func TestBadCertificateAtStart(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	start := func() error {
		h, _ := served(Options{HTTPAddress: "127.0.0.1:0", MetricsTLSAddress: "127.0.0.1:0", MetricsTLSCertFile: certFile, MetricsTLSKeyFile: keyFile})
		_, err := h.Listen()
		return err
	}
	if err := start(); err == nil || !strings.Contains(err.Error(), "--metrics-tls-cert-file "+certFile) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without files: %v", err)
	}
	pair(t, certFile, keyFile, time.Now())
	pair(t, certFile, filepath.Join(dir, "other.key"), time.Now())
	if err := start(); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("with another's key: %v", err)
	}
}
