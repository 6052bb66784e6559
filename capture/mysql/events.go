package mysql

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

// The event types that matter; the others are passed over.
// https://dev.mysql.com/doc/dev/mysql-server/latest/namespacemysql_1_1binlog_1_1event.html
const (
	queryEvent             = 2
	rotateEvent            = 4
	formatDescriptionEvent = 15
	xidEvent               = 16
	beginLoadEvent         = 17
	executeLoadEvent       = 18
	tableMapEvent          = 19
	writeRowsV1            = 23
	updateRowsV1           = 24
	deleteRowsV1           = 25
	incidentEvent          = 26
	heartbeatEvent         = 27
	writeRowsV2            = 30
	updateRowsV2           = 31
	deleteRowsV2           = 32
	gtidEvent              = 33
	anonymousGTIDEvent     = 34
	xaPrepareEvent         = 38
	partialUpdateRows      = 39
	transactionPayload     = 40
	heartbeatEventV2       = 41
	gtidTaggedEvent        = 42
	mariadbGTIDEvent       = 162
	mariadbGTIDListEvent   = 163
	startEncryptionEvent   = 164
	queryCompressedEvent   = 165
	writeRowsCompressedV1  = 166
	updateRowsCompressedV1 = 167
	deleteRowsCompressedV1 = 168
	writeRowsCompressedV2  = 169
	updateRowsCompressedV2 = 170
	deleteRowsCompressedV2 = 171
)

const headerSize = 19

const artificialFlag = 0x20

// event is one event, its checksum verified and cut off.
type event struct {
	kind      byte
	flags     uint16
	timestamp uint32
	serverID  uint32
	// size is that of the event in the log, checksum included.
	size uint32
	// logPos is the low half of the offset of the event's end; 0 where the server
	// does not say.
	logPos uint32
	body   []byte
}

func (e event) artificial() bool { return e.flags&artificialFlag != 0 }

func parseHeader(b []byte) (event, error) {
	if len(b) < headerSize {
		return event{}, fmt.Errorf("binlog: event of %d bytes", len(b))
	}
	e := event{
		timestamp: binary.LittleEndian.Uint32(b),
		kind:      b[4],
		serverID:  binary.LittleEndian.Uint32(b[5:]),
		size:      binary.LittleEndian.Uint32(b[9:]),
		logPos:    binary.LittleEndian.Uint32(b[13:]),
		flags:     binary.LittleEndian.Uint16(b[17:]),
		body:      b[headerSize:],
	}
	if int64(e.size) != int64(len(b)) {
		return event{}, fmt.Errorf("binlog: event of type %d says %d bytes and has %d", e.kind, e.size, len(b))
	}
	return e, nil
}

func errShort(what string) error { return fmt.Errorf("binlog: %s is cut short", what) }

// rotate is the name of the next file and the offset in it.
func (e event) rotate() (place, error) {
	if len(e.body) < 8 {
		return place{}, errShort("rotate event")
	}
	return newPlace(string(e.body[8:]), binary.LittleEndian.Uint64(e.body))
}

// query is what a QUERY event says.
type query struct {
	thread   uint32
	database string
	text     string
}

func (e event) query() (query, error) {
	b := e.body
	fixed := 13
	if e.kind == executeLoadEvent {
		fixed += 13
	}
	if len(b) < fixed {
		return query{}, errShort("query event")
	}
	q := query{thread: binary.LittleEndian.Uint32(b)}
	dbLen, statusLen := int(b[8]), int(binary.LittleEndian.Uint16(b[11:]))
	b = b[fixed:]
	if len(b) < statusLen+dbLen+1 {
		return query{}, errShort("query event")
	}
	q.database = string(b[statusLen : statusLen+dbLen])
	text := b[statusLen+dbLen+1:]
	if e.kind == queryCompressedEvent {
		var err error
		if text, err = inflate(text); err != nil {
			return query{}, fmt.Errorf("compressed query event: %w", err)
		}
	}
	q.text = string(text)
	return q, nil
}

// inflate unpacks the body of one of MariaDB's compressed events: a byte with
// the length of the length, the length, a zlib stream.
func inflate(b []byte) ([]byte, error) {
	if len(b) < 1 {
		return nil, errShort("compressed event")
	}
	n := int(b[0] & 7)
	if b[0]&0x70 != 0 || len(b) < 1+n {
		return nil, fmt.Errorf("binlog: unknown compression 0x%02x", b[0])
	}
	var size uint64
	for _, c := range b[1 : 1+n] {
		size = size<<8 | uint64(c)
	}
	return unzip(b[1+n:], size)
}

// maxUnpacked bounds what a compressed event may unpack to: the server's own
// limit for a packet.
const maxUnpacked = 1 << 30

func unzip(b []byte, size uint64) ([]byte, error) {
	if size > maxUnpacked {
		return nil, fmt.Errorf("binlog: compressed event of %d bytes", size)
	}
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("binlog: compressed event: %w", err)
	}
	defer r.Close()
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, fmt.Errorf("binlog: compressed event: %w", err)
	}
	return out, nil
}

// The flags of MariaDB's GTID event.
const (
	flagStandalone = 1
	flagPreparedXA = 64
)

// mariadbGTID is the transaction's name and its flags.
func (e event) mariadbGTID() (gtid, byte, error) {
	if len(e.body) < 13 {
		return gtid{}, 0, errShort("gtid event")
	}
	return gtid{
		mariadb: true,
		seq:     binary.LittleEndian.Uint64(e.body),
		domain:  binary.LittleEndian.Uint32(e.body[8:]),
		server:  e.serverID,
	}, e.body[12], nil
}

// mysqlGTID is the transaction's name, none for an anonymous one, and its commit
// time in microseconds, 0 where the server is too old to say.
func (e event) mysqlGTID() (gtid, uint64, error) {
	if e.kind == gtidTaggedEvent {
		var t replication.GtidTaggedLogEvent
		if err := t.Decode(e.body); err != nil {
			return gtid{}, 0, fmt.Errorf("binlog: tagged gtid event: %w", err)
		}
		if len(t.SID) != 16 {
			return gtid{}, 0, errShort("tagged gtid event")
		}
		return gtid{sid: [16]byte(t.SID), tag: t.Tag, seq: uint64(t.GNO)}, t.ImmediateCommitTimestamp, nil
	}
	b := e.body
	if len(b) < 25 {
		return gtid{}, 0, errShort("gtid event")
	}
	g := gtid{sid: [16]byte(b[1:17]), seq: binary.LittleEndian.Uint64(b[17:])}
	if e.kind == anonymousGTIDEvent {
		g = gtid{}
	}
	const commitTime = 25 + 1 + 16 // behind the logical clock
	if len(b) < commitTime+7 {
		return g, 0, nil
	}
	var us uint64
	for i := 6; i >= 0; i-- {
		us = us<<8 | uint64(b[commitTime+i])
	}
	return g, us &^ (1 << 55), nil
}

// xaPrepare is the XID in the form in which XA COMMIT and XA ROLLBACK log it.
func (e event) xaPrepare() (xid string, onePhase bool, err error) {
	b := e.body
	if len(b) < 13 {
		return "", false, errShort("xa prepare event")
	}
	format := binary.LittleEndian.Uint32(b[1:])
	g, q := binary.LittleEndian.Uint32(b[5:]), binary.LittleEndian.Uint32(b[9:])
	if g > 64 || q > 64 || len(b) < 13+int(g+q) {
		return "", false, errShort("xa prepare event")
	}
	data := b[13:]
	return fmt.Sprintf("X'%x',X'%x',%d", data[:g], data[g:g+q], format), b[0] != 0, nil
}

var payloadDecoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4<<30))

// payload unpacks a TRANSACTION_PAYLOAD into the events of the transaction. They
// have no checksum and no offset of their own.
func (e event) payload() ([]event, error) {
	body, compressed := e.body, true
fields:
	for {
		field, n := lenenc(body)
		if n == 0 {
			return nil, errShort("transaction payload")
		}
		body = body[n:]
		if field == 0 {
			break fields
		}
		size, n := lenenc(body)
		if n == 0 || uint64(len(body)-n) < size {
			return nil, errShort("transaction payload")
		}
		if field == 2 {
			alg, _ := lenenc(body[n:])
			if alg != 0 && alg != 255 {
				return nil, unsupported("binlog transaction compression %d", alg)
			}
			compressed = alg == 0
		}
		body = body[n+int(size):]
	}
	if compressed {
		var err error
		if body, err = payloadDecoder.DecodeAll(body, nil); err != nil {
			return nil, fmt.Errorf("binlog: transaction payload: %w", err)
		}
	}
	return splitEvents(body)
}

func splitEvents(b []byte) ([]event, error) {
	var out []event
	for len(b) > 0 {
		if len(b) < headerSize {
			return nil, errShort("transaction payload")
		}
		n := binary.LittleEndian.Uint32(b[9:])
		if n < headerSize || uint64(n) > uint64(len(b)) {
			return nil, errShort("transaction payload")
		}
		e, err := parseHeader(b[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		b = b[n:]
	}
	return out, nil
}

// lenenc reads a length-encoded integer; n is 0 where b is too short.
func lenenc(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	size := 0
	switch b[0] {
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	case 0xfb, 0xff:
		return 0, 0
	default:
		return uint64(b[0]), 1
	}
	if len(b) < 1+size {
		return 0, 0
	}
	for i := size; i > 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v, 1 + size
}

// normalXID is the text of an XID in a statement, brought to the form of
// xaPrepare.
func normalXID(text string) string {
	parts := strings.SplitN(strings.TrimSpace(text), ",", 3)
	out := []string{"''", "''", "1"}
	copy(out, parts)
	for i := range 2 {
		p := strings.TrimSpace(out[i])
		if len(p) >= 2 && p[0] == '\'' {
			p = "X'" + hex.EncodeToString([]byte(strings.Trim(p, "'"))) + "'"
		}
		out[i] = "X'" + strings.ToLower(strings.Trim(strings.TrimLeft(p, "xX"), "'")) + "'"
	}
	n, err := strconv.ParseUint(strings.TrimSpace(out[2]), 0, 32)
	if err == nil {
		out[2] = strconv.FormatUint(n, 10)
	}
	return strings.Join(out, ",")
}
