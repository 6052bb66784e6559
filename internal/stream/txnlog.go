package stream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// txnLog is the transaction log of the embedded broker, and what makes its log
// durable.
//
// The broker library ends a transaction by writing a marker into one partition
// after the other. Killed in between, it would start again with some partitions
// committed and the others aborted. So a commit is decided here first: the
// segments that were written to are synced, then one line says that whatever
// the producer has open up to these places is committed. Recovery completes what
// was decided and aborts the rest. Markers need no sync of their own: a lost one
// is written again from its line.
type txnLog struct {
	// mu guards the fields below. Requests come one at a time; the ticker of the
	// broker comes beside them.
	mu   sync.Mutex
	dir  string // of the partitions
	f    *os.File
	sync bool
	size int64
	// parts are the partitions of open transactions by producer. The epoch
	// belongs to it: what a fenced producer asks for decides nothing for the next.
	parts map[producerEpoch]map[tp]bool
	// dirty partitions have records that are not synced; loose is true if some of
	// those belong to no transaction.
	dirty map[tp]bool
	loose bool
	files map[tp]*segment
}

// segment is the newest segment of a partition, opened for syncing.
type segment struct {
	base int64
	f    *os.File
}

// place is how far a partition's files are meant: everything in segments before
// Base, and Size bytes of that one.
type place struct {
	Base int64 `json:"base"`
	Size int64 `json:"size"`
}

func (p place) contains(base, at int64) bool { return base < p.Base || base == p.Base && at < p.Size }

type decision struct {
	Pid   int64            `json:"pid"`
	Epoch int16            `json:"epoch"`
	Ends  map[string]place `json:"ends"` // by name of the partition's directory
}

type producerEpoch struct {
	pid   int64
	epoch int16
}

// noProducer stands for records outside transactions.
var noProducer = producerEpoch{pid: -1}

// txnLogMax is the size at which the file is started again.
const txnLogMax = 1 << 20

// decisions are the commits that were decided, by producer and partition.
type decisions map[producerEpoch]map[string]place

// readDecisions reads the transaction log. A line that a crash has cut was never
// acted upon.
func readDecisions(path string) (decisions, error) {
	out := decisions{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var d decision
		if json.Unmarshal(lines.Bytes(), &d) != nil {
			continue
		}
		p := producerEpoch{d.Pid, d.Epoch}
		if out[p] == nil {
			out[p] = map[string]place{}
		}
		for name, end := range d.Ends {
			out[p][name] = end
		}
	}
	return out, lines.Err()
}

// openTxnLog starts an empty log: recovery has carried out the old one.
func openTxnLog(path, partitions string, sync bool) (*txnLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &txnLog{dir: partitions, f: f, sync: sync, parts: map[producerEpoch]map[tp]bool{}, dirty: map[tp]bool{}, files: map[tp]*segment{}}, nil
}

// produced notes that a partition is about to be written to, by noProducer
// outside transactions.
func (l *txnLog) produced(by producerEpoch, p tp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty[p] = true
	if by == noProducer {
		l.loose = true
		return
	}
	if l.parts[by] == nil {
		l.parts[by] = map[tp]bool{}
	}
	l.parts[by][p] = true
}

// ended forgets an open transaction, and those of the producer's older epochs.
// The caller holds mu.
func (l *txnLog) ended(by producerEpoch) {
	for p := range l.parts {
		if p.pid == by.pid && p.epoch <= by.epoch {
			delete(l.parts, p)
		}
	}
}

func (l *txnLog) aborted(by producerEpoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended(by)
}

// commit makes records and decision durable. After an error the transaction must
// not be ended.
func (l *txnLog) commit(p producerEpoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parts[p]) == 0 {
		return nil // nothing to commit, or asked for again
	}
	if l.size > txnLogMax {
		if err := l.restart(); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	d := decision{Pid: p.pid, Epoch: p.epoch, Ends: map[string]place{}}
	for part := range l.parts[p] {
		end, err := l.end(part)
		if err != nil {
			return err
		}
		d.Ends[partitionDir(part)] = end
	}
	if err := l.write(d); err != nil {
		return err
	}
	l.ended(p)
	return nil
}

func (l *txnLog) write(d decision) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	n, err := l.f.Write(append(b, '\n'))
	l.size += int64(n)
	if err == nil && l.sync {
		err = l.f.Sync()
	}
	return err
}

// restart empties the log once the markers of all its decisions are durable.
func (l *txnLog) restart() error {
	for p := range l.files {
		l.dirty[p] = true
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.size = 0
	return l.f.Truncate(0)
}

// flush syncs what is dirty, all at once.
func (l *txnLog) flush() error {
	var g errgroup.Group
	for p := range l.dirty {
		seg, err := l.newest(p)
		if err != nil {
			return err
		}
		if seg != nil && l.sync {
			g.Go(seg.f.Sync)
		}
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	clear(l.dirty)
	l.loose = false
	return nil
}

// flushLoose syncs what no commit will.
func (l *txnLog) flushLoose() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loose {
		return nil
	}
	return l.flush()
}

// end is how far the files of a partition go now.
func (l *txnLog) end(p tp) (place, error) {
	seg, err := l.newest(p)
	if err != nil || seg == nil {
		return place{}, err
	}
	info, err := seg.f.Stat()
	if err != nil {
		return place{}, err
	}
	return place{seg.base, info.Size()}, nil
}

// newest opens the newest segment of a partition, nil if there is none yet. On a
// change of segment the ones before it are synced here.
func (l *txnLog) newest(p tp) (*segment, error) {
	dir := filepath.Join(l.dir, partitionDir(p))
	bases, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bases) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := l.files[p]
	if have != nil && have.base == bases[len(bases)-1] {
		return have, nil
	}
	for _, base := range bases {
		if have != nil && base < have.base {
			continue
		}
		f, err := os.Open(filepath.Join(dir, strconv.FormatInt(base, 10)+".dat"))
		if err != nil {
			return nil, err
		}
		if l.sync {
			if err := f.Sync(); err != nil {
				return nil, err
			}
		}
		if have != nil {
			have.f.Close()
		}
		have = &segment{base, f}
		l.files[p] = have
	}
	if l.sync {
		return have, errors.Join(syncDir(dir), syncDir(l.dir))
	}
	return have, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// partitionDir is the library's name for the directory of a partition.
func partitionDir(p tp) string { return fmt.Sprintf("%s-%d", url.PathEscape(p.topic), p.part) }

func (l *txnLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.flush()
	for _, s := range l.files {
		s.f.Close()
	}
	return errors.Join(err, l.f.Close())
}
