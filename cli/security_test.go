package cli

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encoding/pem"

	"github.com/twmb/franz-go/pkg/kfake"
)

// certificate is a pair for 127.0.0.1 that httptest brings along, and the file of its authority.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: s.TLS.Certificates}, path
}

func TestCommandsGoThroughTLSAndSASL(t *testing.T) {
	config, ca := certificate(t)
	for mechanism, kind := range map[string]string{"PLAIN": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "SCRAM-SHA-512": "SCRAM-SHA-512"} {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(config), kfake.EnableSASL(), kfake.Superuser(kind, "me", "hush"), kfake.SeedTopics(1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		target := Target{Bootstrap: c.ListenAddrs(), Timeout: 5 * time.Second, TLS: TLS{CA: ca}, SASL: SASL{Mechanism: mechanism, User: "me", PasswordFile: file}}
		if list, err := ListTopics(t.Context(), target, ListTopicsOptions{}); err != nil || len(list) != 1 {
			t.Errorf("%s: %v, %v", mechanism, list, err)
		}
		wrong := target
		wrong.SASL.PasswordFile, wrong.SASL.Password = "", "loud"
		if _, err := ListTopics(t.Context(), wrong, ListTopicsOptions{}); err == nil || strings.Contains(err.Error(), "loud") {
			t.Errorf("%s, wrong password: %v", mechanism, err)
		}
		untrusted := target
		untrusted.TLS = TLS{Enabled: true}
		if _, err := ListTopics(t.Context(), untrusted, ListTopicsOptions{}); err == nil || !strings.Contains(err.Error(), "--tls-ca") {
			t.Errorf("%s, not trusted: %v", mechanism, err)
		}
	}
}

func TestCredentialsThatCantBeAreUsageErrors(t *testing.T) {
	for name, s := range map[string]SASL{
		"no user":     {Password: "x"},
		"no password": {User: "u"},
		"mechanism":   {User: "u", Password: "x", Mechanism: "KERBEROS"},
	} {
		if _, err := s.Login(); !isUsage(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (TLS{Cert: "x"}).Config(); !isUsage(err) {
		t.Errorf("certificate without key: %v", err)
	}
	if _, err := (TLS{CA: filepath.Join(t.TempDir(), "none")}).Config(); err == nil {
		t.Error("a file that isn't there was read")
	}
}
