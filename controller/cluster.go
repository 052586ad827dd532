package controller

import "encoding/base64"

// createCluster makes what every cluster has from its first moment.
func (d *decision) createCluster(c CreateCluster) (string, error) {
	if id := d.img.ClusterID(); id != "" {
		return id, nil
	}
	id := base64.RawURLEncoding.EncodeToString(c.ID[:])
	d.emit(&ClusterCreated{ClusterID: id})
	d.prepareEligibleReplicas()
	epoch := d.img.featuresEpoch
	for _, f := range SupportedFeatures() {
		if f.Initial > 0 {
			epoch++
			d.emit(&FeatureChanged{Name: f.Name, Level: f.Initial, Epoch: epoch})
		}
	}
	return id, nil
}

// Randomize fills in the id.
func (c CreateCluster) Randomize(read func([]byte)) Command {
	if c.ID == [16]byte{} {
		read(c.ID[:])
	}
	c.ID = presentable(c.ID)
	return c
}
