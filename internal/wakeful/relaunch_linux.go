package wakeful

import (
	"os"
	"syscall"
)

// Relaunch replaces this process by the same program with the same arguments, under the same id, whose monitor does not
// sleep. It returns if this is that program, or if it can't be started: all goes well without.
func Relaunch() {
	value, done := wakeful(os.Getenv("GODEBUG"))
	path, err := os.Executable()
	if done || err != nil || os.Setenv("GODEBUG", value) != nil {
		return
	}
	_ = syscall.Exec(path, os.Args, os.Environ())
}
