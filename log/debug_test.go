package log

import (
	"fmt"
	"path/filepath"
)

// describeWAL tells what is in the WAL files, for failures.
func describeWAL(w *world) (out []string) {
	dir := filepath.Join(testDir, walDir)
	ids, _ := listFiles(w.mem, dir, fileWAL)
	for _, id := range ids {
		s, err := openScanner(w.mem.Open, filepath.Join(dir, fileName(id)), debugDirectory(w))
		if err != nil {
			out = append(out, fmt.Sprint(id, err))
			continue
		}
		line := fmt.Sprintf("file %d size %d first %+v %v:", id, s.size, s.first, s.firstErr)
		for off := int64(fileHeaderLen); off < s.size; {
			h, _, err := s.frame(off)
			if err != nil {
				line += fmt.Sprintf(" [%d: %v]", off, err)
				off, _ = s.resync(off, s.size)
				continue
			}
			line += fmt.Sprintf(" %d(seq %d synced %s)", off, h.sequence, h.synced)
			off += h.span()
		}
		out = append(out, line)
	}
	return out
}

// describeControls tells the control records of the WAL files.
func describeControls(w *world) (out []string) {
	dir := filepath.Join(testDir, walDir)
	ids, _ := listFiles(w.mem, dir, fileWAL)
	for _, id := range ids {
		s, err := openScanner(w.mem.Open, filepath.Join(dir, fileName(id)), debugDirectory(w))
		if err != nil {
			continue
		}
		for off := int64(fileHeaderLen); off < s.size; {
			h, payload, err := s.frame(off)
			if err != nil {
				break
			}
			if h.kind == frameData {
				out = append(out, fmt.Sprintf("%d:%d data %s %d-%d", id, off, h.log, h.first, h.last))
			}
			for h.kind == frameControl && len(payload) > 0 {
				c, rest, _ := nextControl(payload)
				out = append(out, fmt.Sprintf("%d:%d control %d %s %x", id, off, c.kind, c.log, c.body))
				payload = rest
			}
			off += h.span()
		}
	}
	return out
}

func debugDirectory(w *world) [16]byte {
	var m metaProperties
	data, _ := w.mem.ReadFile(filepath.Join(testDir, metaFile))
	_ = m.decode(string(data))
	return m.directory
}
