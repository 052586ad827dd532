//go:build !clockstep

package env

import "time"

func now() time.Time { return time.Now() }
