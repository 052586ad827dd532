// Package admin is the HTTP face of a node: health for whoever supervises the process, metrics for whoever scrapes it. It
// never serves Kafka's protocol, holds no state of its own and decides nothing: what is alive and ready is asked of node,
// which drives it, and what /metrics answers is a handler handed in. This file is all there is.
package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Options is what a Server answers from.
type Options struct {
	Logger *slog.Logger
	// Metrics answers GET /metrics in Prometheus' text format.
	Metrics http.Handler
	// Alive is nil while the process can do its work at all; its error is the text of /healthz.
	Alive func() error
	// Ready is nil while clients are served; its error is the text of /readyz.
	Ready func() error
}

// Limits on one HTTP request: nothing here takes a body, and no answer takes long but a profile.
const (
	maxHeaderBytes = 16 << 10
	headerTimeout  = 5 * time.Second
	idleTimeout    = time.Minute
)

// Server is the admin listener.
type Server struct {
	http *http.Server
	log  *slog.Logger
}

// New makes a server; Serve starts it.
func New(o Options) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /healthz", answer(o.Alive))
	mux.HandleFunc("GET /readyz", answer(o.Ready))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &Server{
		log: o.Logger,
		http: &http.Server{
			Handler:           mux,
			MaxHeaderBytes:    maxHeaderBytes,
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		},
	}
}

// answer says ok, or 503 and why not.
func answer(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, err.Error()+"\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) {
	if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("admin listener ended", "address", l.Addr().String(), "error", err)
	}
}

// Close ends the listener and gives running answers until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
