package stream

import "encoding/binary"

// murmur2 is the hash of Kafka's Java client: every client that partitions as
// it does finds a key where we put it.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// partitionFor is the partition of a key. Records without key go to partition 0,
// so that they keep their order.
func partitionFor(key []byte, partitions int) int32 {
	if key == nil {
		return 0
	}
	return int32(murmur2(key)&0x7fffffff) % int32(partitions)
}
