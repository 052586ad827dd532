package config

// nearest finds the broker property whose name is closest to a mistyped one; empty if none is close.
func nearest(name string) string {
	const longest = 80 // the work is the product of the lengths
	if len(name) > longest {
		return ""
	}
	best, bestDistance := "", 3
	for i := range table {
		k := &table[i]
		if k.Scope != BrokerScope || abs(len(k.Name)-len(name)) >= bestDistance {
			continue
		}
		if d := editDistance(k.Name, name); d < bestDistance {
			best, bestDistance = k.Name, d
		}
	}
	return best
}

// editDistance counts the inserted, deleted and changed bytes between two names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func abs(n int) int { return max(n, -n) }
