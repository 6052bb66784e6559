package state

import (
	"iter"
	"slices"
	"sort"
)

// keyBlock is how many keys lie together; a full block is cut in half.
const keyBlock = 512

// keyList is a set of keys in order, in blocks, so that adding one moves few.
type keyList struct{ blocks [][]string }

// at is the block where a key is or belongs.
func (l *keyList) at(key string) int {
	return max(0, sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i][0] > key })-1)
}

// add puts in a key that is not there yet.
func (l *keyList) add(key string) {
	if len(l.blocks) == 0 {
		l.blocks = [][]string{{key}}
		return
	}
	b := l.at(key)
	i := sort.SearchStrings(l.blocks[b], key)
	l.blocks[b] = slices.Insert(l.blocks[b], i, key)
	if full := l.blocks[b]; len(full) >= keyBlock {
		half := len(full) / 2
		l.blocks[b] = full[:half:half]
		l.blocks = slices.Insert(l.blocks, b+1, slices.Clone(full[half:]))
	}
}

// from gives the keys from one on, in order.
func (l *keyList) from(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for b := l.at(key); b < len(l.blocks); b++ {
			block := l.blocks[b]
			for _, k := range block[sort.SearchStrings(block, key):] {
				if !yield(k) {
					return
				}
			}
		}
	}
}
