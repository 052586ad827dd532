package broker

func handleFetch(s *Server, r *request) { r.noReply() }
