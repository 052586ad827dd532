package quorum

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger hands raft's own log to slog. What raft calls Info is of interest only to who debugs raft, and so is what it says
// of connections that are closed because this node stops. raft says ten times a second that a peer is gone: here it is said
// now and then.
type raftLogger struct {
	slog    *slog.Logger
	name    string
	args    []any
	repeats *seldom
	over    func() bool
}

func newRaftLogger(l *slog.Logger, repeats *seldom, over func() bool) hclog.Logger {
	return &raftLogger{slog: l.With("component", "raft"), repeats: repeats, over: over}
}

func (l *raftLogger) level(level hclog.Level) slog.Level {
	switch level {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	to := l.level(level)
	if l.over() {
		to = slog.LevelDebug
	}
	if !l.slog.Enabled(context.Background(), to) {
		return
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(f[0].(string), f[1:]...)
		}
	}
	if to > slog.LevelInfo {
		skipped, ok := l.repeats.say(msg + " " + peerIn(args))
		if !ok {
			return
		}
		if skipped > 0 {
			args = append(args, "repeated", skipped)
		}
	}
	l.slog.Log(context.Background(), to, msg, args...)
}

// peerIn is whom a message is about, as raft names it.
func peerIn(args []any) string {
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "peer", "server-id", "target", "id":
			return fmt.Sprint(args[i+1])
		}
	}
	return ""
}

func (l *raftLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *raftLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *raftLogger) IsTrace() bool { return false }
func (l *raftLogger) IsDebug() bool { return l.slog.Enabled(context.Background(), slog.LevelDebug) }
func (l *raftLogger) IsInfo() bool  { return l.IsDebug() }
func (l *raftLogger) IsWarn() bool  { return l.slog.Enabled(context.Background(), slog.LevelWarn) }
func (l *raftLogger) IsError() bool { return l.slog.Enabled(context.Background(), slog.LevelError) }

func (l *raftLogger) ImpliedArgs() []any { return l.args }
func (l *raftLogger) Name() string       { return l.name }

func (l *raftLogger) With(args ...any) hclog.Logger {
	with := *l
	with.slog, with.args = l.slog.With(args...), append(append([]any{}, l.args...), args...)
	return &with
}

func (l *raftLogger) Named(name string) hclog.Logger {
	named := *l
	named.name = name
	return &named
}

func (l *raftLogger) ResetNamed(name string) hclog.Logger { return l.Named(name) }
func (l *raftLogger) SetLevel(hclog.Level)                {}
func (l *raftLogger) GetLevel() hclog.Level               { return hclog.Debug }

func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.slog.Handler(), slog.LevelDebug)
}

func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(nil).Writer()
}
