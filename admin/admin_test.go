package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHealthSaysWhyNot(t *testing.T) {
	var alive, ready error
	s := New(Options{
		Logger:  slog.New(slog.DiscardHandler),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		Alive:   func() error { return alive },
		Ready:   func() error { return ready },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	expect := func(path string, status int, body string) {
		t.Helper()
		res, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		if res.StatusCode != status || strings.TrimSpace(string(got)) != body {
			t.Errorf("GET %s: %d %q, want %d %q", path, res.StatusCode, got, status, body)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 200, "ok")
	expect("/metrics", 200, "up 1")
	ready = errors.New("draining")
	expect("/readyz", 503, "draining")
	expect("/healthz", 200, "ok")
	alive = errors.New("the data directory failed")
	expect("/healthz", 503, "the data directory failed")
}
