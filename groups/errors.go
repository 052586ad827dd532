package groups

import "errors"

// errPendingStatic answers a static member that comes with an id which a dynamic one was given (UNKNOWN_SERVER_ERROR, as in Kafka).
var errPendingStatic = errors.New("groups: a static member joins with a pending id")
