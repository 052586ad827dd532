package config

import "log/slog"

// levels are Kafka's names for levels of a log, the most talkative first.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"TRACE", slog.LevelDebug - 4}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", slog.LevelError + 4},
}

// ParseLevel is the level of that name, as Kafka names levels.
func ParseLevel(name string) (slog.Level, bool) {
	for _, l := range levels {
		if l.name == name {
			return l.level, true
		}
	}
	return 0, false
}

// LevelName is Kafka's name for a level.
func LevelName(level slog.Level) string {
	for _, l := range levels {
		if level <= l.level {
			return l.name
		}
	}
	return "OFF"
}

// Level is the least important level that is logged: what SetLevel was given, else log.level, which can change while the
// broker runs. It makes a Config the slog.Leveler of the server's log.
func (c *Config) Level() slog.Level {
	if l := c.level.Load(); l != nil {
		return *l
	}
	var level slog.Level
	// The table of properties lets only names pass that slog knows.
	_ = level.UnmarshalText([]byte(c.String("log.level")))
	return level
}

// SetLevel makes a level hold until the process ends, whatever log.level says.
func (c *Config) SetLevel(level slog.Level) { c.level.Store(&level) }
