package log

import (
	"strconv"

	"github.com/streambus/streambus/internal/invariants"
)

// checkLive compares the live bytes of files with the runs in the index, where assertions are on: a file that counts too
// few would be unlinked under somebody's data.
func (s *sealer) checkLive(captures []capture) {
	if !invariants.Enabled {
		return
	}
	live := map[uint32]int64{}
	err := s.e.index.allRuns(func(_ tp, r *run) (bool, error) {
		live[r.file] += r.bytes
		return true, nil
	})
	if err != nil {
		return
	}
	for id, info := range s.infos {
		if info.live == live[id] {
			continue
		}
		what := ""
		for i := range captures {
			what += captures[i].describe()
		}
		invariants.Check(false, "file %d counts %d live bytes, its runs have %d, after sealing %d:%s", id, info.live, live[id], s.sealed, what)
	}
}

func (c *capture) describe() string {
	out := "\n  " + c.log.id.String()
	if c.changes.deleted {
		out += " deleted"
	}
	if c.changes.started {
		out += " started " + itoa(int64(c.start))
	}
	if c.changes.truncated >= 0 {
		out += " truncated " + itoa(int64(c.changes.truncated))
	}
	for i := range c.entries {
		e := &c.entries[i]
		out += " [" + itoa(int64(e.base)) + "-" + itoa(int64(e.last)) + " file " + itoa(int64(e.file)) + " " + itoa(int64(e.length)) + "B]"
	}
	return out
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
