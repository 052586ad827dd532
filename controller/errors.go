package controller

import "errors"

// Errors of this package that no Kafka client ever sees.
var (
	// ErrUnreadable marks bytes that are no batch of events, or one of a newer version. Skipping it would make this image
	// differ from the others', so whoever meets it must stop.
	ErrUnreadable = errors.New("controller: unreadable events")
	// ErrMisfit marks events that don't fit the image they are replayed on. It is a bug, and reason to stop, too.
	ErrMisfit = errors.New("controller: events don't fit the image")
	// ErrStale marks a batch that every node ignores, because it was decided by a controller that had been deposed or on an
	// image that was not the last one. Nothing of it happened.
	ErrStale = errors.New("controller: stale batch")
)
