package env

import "github.com/cockroachdb/pebble/v2/vfs"

// memVFS is Pebble's MemFS as Pebble gets it from us. MemFS.Link takes the read side of a lock twice that CrashClone takes
// the write side of: a clone that comes between the two waits for ever. So the two are kept apart here.
type memVFS struct {
	vfs.FS
	m *MemFS
}

func (v memVFS) Link(oldName, newName string) error {
	v.m.linking.Lock()
	defer v.m.linking.Unlock()
	return v.FS.Link(oldName, newName)
}

// Unwrap is of vfs.FS.
func (v memVFS) Unwrap() vfs.FS { return v.FS }
