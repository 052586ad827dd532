//go:build !linux

package wakeful

// Relaunch does nothing here: a timer's sleep is a longer one, and nobody has measured it.
func Relaunch() {}
