package broker

func handleProduce(s *Server, r *request) { r.noReply() }
