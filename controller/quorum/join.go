package quorum

import "context"

func (q *Quorum) serveJoin(ctx context.Context, f frame, caller hello) frame { return frame{} }
