package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logRepair puts the embedded broker's files in order before the library reads
// them. What the library would get wrong after a crash:
//
//   - a batch whose index entry was not written any more counts as committed,
//     and all later entries of the segment belong to the wrong batches;
//   - transactions with markers in some of their partitions stay half committed;
//   - a transaction it aborts gets no marker, so that the next commit of the
//     same producer would make the aborted records visible.
//
// So: the index is made again from the batches, each open transaction gets the
// marker it was meant to get, and the snapshots that would bypass all this go.
type logRepair struct {
	dir     string
	decided decisions
	sync    bool
	// ends are the offsets behind the last batch, as found.
	ends map[string]int64
	// completed and aborted count the markers that were missing.
	completed, aborted int
}

func repairLog(dir string, decided decisions, sync bool) (*logRepair, error) {
	r := &logRepair{dir: dir, decided: decided, sync: sync, ends: map[string]int64{}}
	parts, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, p := range parts {
		if !p.IsDir() {
			continue
		}
		if err := r.partition(p.Name()); err != nil {
			return nil, fmt.Errorf("partition %s: %w", p.Name(), err)
		}
	}
	// The library would bring back the transactions that are closed now.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, nil
}

// openTxn is a transaction with records in a partition and no marker.
type openTxn struct {
	epoch   int16
	decided bool // to be committed
}

// segments lists the segment files of a partition by their first offset.
func segments(dir string) ([]int64, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, f := range files {
		if base, ok := strings.CutSuffix(f.Name(), ".dat"); ok {
			n, err := strconv.ParseInt(base, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s is no segment", f.Name())
			}
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (r *logRepair) partition(name string) error {
	dir := filepath.Join(r.dir, "partitions", name)
	segs, err := segments(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "snapshot.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	open := map[int64]openTxn{}
	var end int64
	var leader int32
	for i, base := range segs {
		seg := filepath.Join(dir, strconv.FormatInt(base, 10))
		var index []byte
		size, err := r.segment(seg, i == len(segs)-1, func(at int64, h *head) {
			index = appendIndex(index, h)
			end, leader = h.next, h.leader
			switch {
			case h.control():
				delete(open, h.pid)
			case h.transactional():
				open[h.pid] = openTxn{h.epoch, r.decided[producerEpoch{h.pid, h.epoch}][name].contains(base, at)}
			}
		})
		if err != nil {
			return err
		}
		if i == len(segs)-1 && len(open) > 0 {
			if index, err = r.markers(seg, size, open, index, end, leader); err != nil {
				return err
			}
		}
		if err := r.index(seg, index); err != nil {
			return err
		}
	}
	topic, err := url.PathUnescape(name[:strings.LastIndexByte(name, '-')+1])
	if err != nil {
		return err
	}
	r.ends[topic+name[strings.LastIndexByte(name, '-')+1:]] = end
	return nil
}

// segment walks the batches of a segment and cuts a torn one off the end of the
// last. Damage anywhere else is not the work of a crash.
func (r *logRepair) segment(seg string, last bool, each func(at int64, h *head)) (int64, error) {
	b, err := os.ReadFile(seg + ".dat")
	if err != nil {
		return 0, err
	}
	var at int64
	for at < int64(len(b)) {
		h, ok, err := readHead(b[at:])
		if err != nil || !ok {
			if !last {
				return 0, fmt.Errorf("segment %s is damaged at byte %d: restore the directory of the embedded broker, or remove it and take new snapshots", filepath.Base(seg), at)
			}
			return at, os.Truncate(seg+".dat", at)
		}
		each(at, &h)
		at += int64(h.size)
	}
	return at, nil
}

// markers ends the open transactions of a partition.
func (r *logRepair) markers(seg string, size int64, open map[int64]openTxn, index []byte, end int64, leader int32) ([]byte, error) {
	var out []byte
	for pid, txn := range open {
		if txn.decided {
			r.completed++
		} else {
			r.aborted++
		}
		m := marker(end, leader, producer{id: pid, epoch: txn.epoch}, txn.decided)
		h, _, err := readHead(m)
		if err != nil {
			return nil, err
		}
		index = appendIndex(index, &h)
		out = append(out, m...)
		end = h.next
	}
	f, err := os.OpenFile(seg+".dat", os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.WriteAt(out, size); err != nil {
		return nil, err
	}
	if r.sync {
		return index, f.Sync()
	}
	return index, nil
}

// marker is the control batch that ends a transaction in a partition.
func marker(offset int64, leader int32, p producer, commit bool) []byte {
	key := []byte{0, 0, 0, 0} // version, type
	if commit {
		key[3] = 1
	}
	b := &batch{firstTS: time.Now().UnixMilli()}
	b.maxTS = b.firstTS
	rec := []byte{0, 0, 0} // attributes, time, offset
	rec = appendBytes(rec, key)
	rec = appendBytes(rec, make([]byte, 6)) // version, coordinator epoch
	rec = append(rec, 0)                    // headers
	b.records = append(binary.AppendVarint(nil, int64(len(rec))), rec...)
	b.count = 1
	_ = b.seal(producer{id: p.id, epoch: p.epoch, transactional: true}, -1, 0) // uncompressed: cannot fail
	h := b.wire[4:]
	binary.BigEndian.PutUint64(h, uint64(offset))
	binary.BigEndian.PutUint32(h[12:], uint32(leader))
	h[22] |= attrControl
	binary.BigEndian.PutUint32(h[17:], crc32.Checksum(h[crcFrom:], castagnoli))
	return h
}

// appendIndex adds the library's index entry of a batch: version, a byte of
// checksum, leader epoch, a time it does not read, and whether it is part of a
// transaction.
func appendIndex(index []byte, h *head) []byte {
	var e [15]byte
	e[0] = 1
	binary.LittleEndian.PutUint32(e[2:], uint32(h.leader))
	binary.LittleEndian.PutUint64(e[6:], uint64(h.maxTS))
	if h.transactional() && !h.control() {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(index, e[:]...)
}

// index replaces the index of a segment if it says something else in what
// matters: which batches there are and which are transactional.
func (r *logRepair) index(seg string, index []byte) error {
	old, err := os.ReadFile(seg + ".idx")
	if err == nil && sameIndex(old, index) {
		return nil
	}
	return writeAtomically(seg+".idx", index, r.sync)
}

func sameIndex(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i+15 <= len(a); i += 15 {
		if !bytes.Equal(a[i+2:i+6], b[i+2:i+6]) || a[i+14] != b[i+14] || a[i+1] != byte(crc32.Checksum(a[i+2:i+15], castagnoli)) {
			return false
		}
	}
	return true
}

// writeAtomically replaces a file: after a crash it is the old one or the new.
func writeAtomically(path string, b []byte, sync bool) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// watermarks is the memory of how far each partition had come.
type watermarks map[string]int64

func readWatermarks(path string) (watermarks, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var w watermarks
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// check compares the memory with what is on disk. Topics that were deleted on
// purpose are in neither list of the broker any more.
func (w watermarks) check(found map[string]int64, topics map[string]bool) error {
	for name, had := range w {
		topic := name[:strings.LastIndexByte(name, '-')]
		if topics != nil && !topics[topic] {
			continue
		}
		if found[name] < had {
			return fmt.Errorf("embedded broker: partition %s ends at offset %d but had come to %d: its log has lost records. Restore its directory from a backup, or remove it and take new snapshots", name, found[name], had)
		}
	}
	return nil
}
