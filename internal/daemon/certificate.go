package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// certificate is the TLS server's. It is read anew when its files have changed, which a kubelet or cert-manager
// does while the process runs.
type certificate struct {
	certFile, keyFile string // empty: one is made at start
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]stamp // of the files when they were last read, whatever came of that
}

// stamp is what differs of a file that has been replaced.
type stamp struct {
	modified time.Time
	size     int64
}

// load reads the files, or makes a certificate where none are named.
func (c *certificate) load() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certFile == "" {
		c.current, err = selfSigned()
		return err
	}
	c.seen = c.stamps()
	c.current, err = c.read()
	return err
}

// get returns the certificate for a handshake: what the files have now, or what they last had that was good.
// Handshakes are rare, and two calls of stat are nothing beside one.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certFile == "" {
		return c.current, nil
	}
	// Before they are read: if one is replaced meanwhile, the next handshake reads them again.
	now := c.stamps()
	if now == c.seen {
		return c.current, nil
	}
	c.seen = now
	if next, err := c.read(); err != nil {
		c.log.Warn("the new TLS certificate cannot be used, going on with the one before", "error", err)
	} else {
		c.current = next
		c.log.Info("new TLS certificate", "file", c.certFile, "expires", next.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return c.current, nil
}

func (c *certificate) stamps() (s [2]stamp) {
	for i, file := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (c *certificate) read() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--metrics-tls-cert-file %s with --metrics-tls-key-file %s: %w", c.certFile, c.keyFile, err)
	}
	return &cert, nil
}

// lifetime of a certificate made at start. Who scrapes it cannot verify it anyway, and a process may run long.
const lifetime = 10 * 365 * 24 * time.Hour

// selfSigned makes a certificate.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for TLS: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("making a certificate for TLS: asking for the host's name: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate for TLS: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime), // clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{host, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for TLS: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
