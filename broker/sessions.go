package broker

type sessionCache struct{}

func (c *sessionCache) init(int)  {}
func (c *sessionCache) size() int { return 0 }
