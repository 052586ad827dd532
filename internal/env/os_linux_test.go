package env

import (
	"slices"
	"testing"
)

// Pieces are whole buffers, at most 64 KiB where there is more than one, and nothing is left out.
func TestPiecesOfAWriteAreBounded(t *testing.T) {
	var bufs [][]byte
	for _, n := range []int{10, maxPiece - 10, 1, maxPiece, 200 << 10, 0, 5} {
		bufs = append(bufs, make([]byte, n))
	}
	var got []int
	for len(bufs) > 0 {
		part, n := piece(bufs, maxPiece)
		if len(part) == 0 || len(part) > 1 && n > maxPiece {
			t.Fatalf("a piece of %d buffers and %d bytes", len(part), n)
		}
		got, bufs = append(got, n), bufs[len(part):]
	}
	if want := []int{maxPiece, 1, maxPiece, 200 << 10, 5}; !slices.Equal(got, want) {
		t.Errorf("pieces of %v bytes, want %v", got, want)
	}
}
