package postgres

import (
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// arena gives texts and rows out of larger pieces of memory, which the garbage
// collector frees when nobody uses any part of them. What it gave is never
// touched again.
type arena struct {
	text   strings.Builder
	values []schemas.Value
	spare  []byte
}

const (
	textChunk  = 32 << 10
	valueChunk = 2048
)

// string copies b.
func (a *arena) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > textChunk/4 {
		return string(b)
	}
	if a.text.Cap()-a.text.Len() < len(b) {
		a.text = strings.Builder{}
		a.text.Grow(textChunk)
	}
	from := a.text.Len()
	a.text.Write(b)
	return a.text.String()[from:]
}

// row gives a row of n NULLs.
func (a *arena) row(n int) schemas.Row {
	if n > len(a.values) {
		a.values = make([]schemas.Value, max(valueChunk, n))
	}
	r := a.values[:n:n]
	a.values = a.values[n:]
	return r
}

// scratch gives n bytes that are good until the next call.
func (a *arena) scratch(n int) []byte {
	if cap(a.spare) < n {
		a.spare = make([]byte, n, n*2)
	}
	return a.spare[:n]
}
