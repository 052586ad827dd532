package log

import "slices"

// A log that is deleted and made anew under its name lives again, and of a life that is over nothing counts. Where the index
// is made anew, the file that told of the end of one life and the beginning of the next may be gone, because nothing in it
// was live, while an older file still holds frames of the former: what the checkpoint says of it comes too late, behind
// frames of the new life. So the lives are looked up ahead: for each log the sequence at which its last one began, from the
// records of creation and the checkpoints that will be applied.

// findLives reads ahead where files are missing. It goes no further than the replay will.
func (r *replay) findLives() error {
	if !r.rebuild {
		return nil
	}
	r.lives = map[tp]uint64{}
	return r.ahead(r.noteLife)
}

// ahead gives out the control records that the replay will come by, and no others.
func (r *replay) ahead(each func(*frameHeader, *control) error) error {
	damage, stopped, passed := slices.Clone(r.damage), r.stopped, r.passed
	defer func() { r.damage, r.stopped, r.passed = damage, stopped, passed }()
	for _, s := range r.chain {
		if err := r.noteMissing(s.id); err != nil || r.stopped {
			return err
		}
		limit := r.limit(s)
		whole, err := s.controls(min(limit, s.size), each)
		if err != nil || !whole || s.size < limit {
			return err
		}
	}
	return nil
}

func (r *replay) noteLife(h *frameHeader, c *control) error {
	switch c.kind {
	case ctlCreate:
		r.lives[c.log] = max(r.lives[c.log], h.sequence)
	case ctlCheckpoint:
		var cp checkpoint
		if err := cp.decode(c.body); err != nil {
			return err
		}
		r.lives[c.log] = max(r.lives[c.log], cp.meta.incarnation)
	}
	return nil
}

// before tells whether a frame belongs to a life of the log that is over.
func (r *replay) before(h *frameHeader, id tp) bool { return h.sequence < r.lives[id] }

// controls gives out the control records of a file up to limit, and says whether all frames up to there were intact. A
// record is good until the next one.
func (s *scanner) controls(limit int64, each func(*frameHeader, *control) error) (whole bool, err error) {
	for off := int64(fileHeaderLen); off < limit; {
		h, payload, err := s.frame(off)
		if err != nil {
			if isIO(err) {
				return false, err
			}
			return false, nil
		}
		for h.kind == frameControl && len(payload) > 0 {
			c, rest, err := nextControl(payload)
			if err != nil {
				return false, err
			}
			if err := each(&h, &c); err != nil {
				return false, err
			}
			payload = rest
		}
		off += h.span()
	}
	return true, nil
}
