package mysql

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/strait-cdc/strait/capture"
)

// dump receives the binlog over one connection, event by event.
//
// The library's BinlogSyncer asks the server to leave the checksums out, boxes
// each value, and hides the headers from a decoder of one's own; so only its
// connection and authentication are used. The command and the packets are
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump.html
type dump struct {
	conn *client.Conn
	in   *bufio.Reader
	buf  []byte
	seq  uint8
	// sums says that events end in a CRC-32, as the last FORMAT_DESCRIPTION said.
	sums bool
}

// readBuffer is large enough for the packets that the server sends at once
// when we are behind.
const readBuffer = 256 << 10

// maxPacket is the size from which on a payload goes on in the next packet.
const maxPacket = 1<<24 - 1

// startDump registers as the replica serverID and asks for the log from at on.
func startDump(ctx context.Context, t target, mariadb bool, serverID uint32, uuid string, at place) (*dump, error) {
	conn, err := client.ConnectWithContext(ctx, t.addr, t.user, t.password, "", dialTimeout, func(c *client.Conn) error {
		if cfg := t.tlsConfig(); cfg != nil {
			c.SetTLSConfig(cfg)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("binlog connection to %s: %w", t.addr, err)
	}
	d := &dump{conn: conn}
	if err := d.prepare(mariadb, serverID, uuid, t); err != nil {
		conn.Close()
		return nil, err
	}
	if err := d.send(dumpCommand(at, serverID, mariadb)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("binlog dump from %s: %w", at, err)
	}
	// From here on the server only sends; nothing of it can have been read yet.
	d.in = bufio.NewReaderSize(d.conn.Conn.Conn, readBuffer)
	d.seq = 1
	return d, nil
}

func (d *dump) prepare(mariadb bool, serverID uint32, uuid string, t target) error {
	beat := heartbeat.Nanoseconds()
	sets := []string{
		"set @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum",
		fmt.Sprintf("set @master_heartbeat_period = %d, @source_heartbeat_period = %d", beat, beat),
		fmt.Sprintf("set @slave_uuid = '%s', @replica_uuid = '%s'", uuid, uuid),
	}
	if mariadb {
		// 4: we understand MariaDB's GTID events.
		sets = append(sets, "set @mariadb_slave_capability = 4")
	}
	for _, s := range sets {
		if _, err := d.conn.Execute(s); err != nil {
			return fmt.Errorf("binlog connection: %w", err)
		}
	}
	if err := d.send(registerCommand(serverID, t)); err != nil {
		return fmt.Errorf("register as replica: %w", err)
	}
	if _, err := d.conn.ReadOKPacket(); err != nil {
		return fmt.Errorf("register as replica %d: %w; grant replication slave on *.* to the user of the capture", serverID, err)
	}
	return nil
}

func (d *dump) send(payload []byte) error {
	d.conn.ResetSequence()
	return d.conn.WritePacket(append(make([]byte, 4, 4+len(payload)), payload...))
}

func registerCommand(serverID uint32, t target) []byte {
	b := []byte{mysql.COM_REGISTER_SLAVE}
	b = binary.LittleEndian.AppendUint32(b, serverID)
	name := "strait"
	b = append(append(b, byte(len(name))), name...)
	b = append(b, 0, 0) // user and password as SHOW REPLICAS would show them: empty
	b = binary.LittleEndian.AppendUint16(b, t.port())
	b = binary.LittleEndian.AppendUint32(b, 0) // rank
	return binary.LittleEndian.AppendUint32(b, 0)
}

func dumpCommand(at place, serverID uint32, mariadb bool) []byte {
	b := []byte{mysql.COM_BINLOG_DUMP}
	b = binary.LittleEndian.AppendUint32(b, uint32(at.offset))
	var flags uint16
	if mariadb {
		// Send ANNOTATE_ROWS events too: without them the sizes of the events would
		// not add up to offsets where an event does not carry its own.
		flags = 2
	}
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, serverID)
	return append(b, at.file...)
}

// next waits for an event. The event is valid until the following call.
func (d *dump) next() (event, error) {
	payload, err := d.packet()
	if err != nil {
		return event{}, err
	}
	if len(payload) == 0 {
		return event{}, fmt.Errorf("binlog: empty packet")
	}
	switch payload[0] {
	case 0x00:
		return d.event(payload[1:])
	case 0xff:
		return event{}, dumpError(payload)
	case 0xfe:
		return event{}, fmt.Errorf("binlog: the server ended the stream: %w", io.EOF)
	}
	return event{}, fmt.Errorf("binlog: unknown packet 0x%02x", payload[0])
}

// packet reads one payload into the dump's buffer.
func (d *dump) packet() ([]byte, error) {
	if d.in.Buffered() < 4 {
		// A server that has nothing to send sends a heartbeat.
		if err := d.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return nil, fmt.Errorf("binlog: %w", err)
		}
	}
	d.buf = d.buf[:0]
	for {
		head, err := d.in.Peek(4)
		if err != nil {
			return nil, broken(err)
		}
		n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		if head[3] != d.seq {
			return nil, fmt.Errorf("binlog: packet %d where %d was due", head[3], d.seq)
		}
		d.seq++
		if _, err := d.in.Discard(4); err != nil {
			return nil, broken(err)
		}
		at := len(d.buf)
		d.buf = grow(d.buf, n)
		if err := d.fill(d.buf[at:]); err != nil {
			return nil, broken(err)
		}
		if n < maxPacket {
			return d.buf, nil
		}
	}
}

// fill reads a payload; each part of a large one has its own deadline.
func (d *dump) fill(b []byte) error {
	for len(b) > 0 {
		if d.in.Buffered() == 0 {
			if err := d.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
				return err
			}
		}
		n, err := d.in.Read(b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// keptBuffer bounds the buffer that is kept between events.
const keptBuffer = 4 << 20

func grow(b []byte, n int) []byte {
	if len(b) == 0 && cap(b) > keptBuffer && n < keptBuffer {
		b = nil
	}
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, len(b)+n+len(b)/2), b...)
	}
	return b[:len(b)+n]
}

func broken(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return fmt.Errorf("binlog: the server was silent for %s: %w", silence, err)
	}
	return fmt.Errorf("binlog connection: %w", err)
}

// dumpError turns an ERR packet of the dump into ours. Code 1236 stands for
// everything that goes wrong with a log, so the text has to tell.
func dumpError(p []byte) error {
	if len(p) < 9 {
		return fmt.Errorf("binlog: malformed error packet")
	}
	code, text := binary.LittleEndian.Uint16(p[1:]), string(p[9:])
	err := fmt.Errorf("binlog: server error %d: %s", code, text)
	if code != 1236 {
		return err
	}
	low := strings.ToLower(text)
	for _, s := range []string{"purged", "could not find", "not find first log", "impossible position", "past the end of file", "position > file size", "could not open log file"} {
		if strings.Contains(low, s) {
			return fmt.Errorf("%w: %w; take a new snapshot with: strait run --snapshot <system>", err, capture.ErrPositionLost)
		}
	}
	return err
}

// event takes a packet apart and verifies its checksum.
func (d *dump) event(b []byte) (event, error) {
	e, err := parseHeader(b)
	if err != nil {
		return event{}, err
	}
	switch {
	case e.kind == formatDescriptionEvent:
		// Its last five bytes are always the algorithm and a checksum, which is
		// filled in only where checksums are on.
		if len(e.body) < 5 {
			return event{}, fmt.Errorf("binlog: format description of %d bytes", len(e.body))
		}
		alg := e.body[len(e.body)-5]
		if alg > 1 {
			return event{}, unsupported("binlog checksum algorithm %d", alg)
		}
		d.sums = alg == 1
		if d.sums {
			return e.checked(b)
		}
		e.body = e.body[:len(e.body)-4]
		return e, nil
	case e.kind == rotateEvent && e.artificial():
		// Sent before the first format description, with a checksum or without.
		if checked, err := e.checked(b); err == nil {
			return checked, nil
		}
		return e, nil
	case d.sums:
		return e.checked(b)
	}
	return e, nil
}

// checked verifies the checksum of an event and cuts it off. b is the whole
// event.
func (e event) checked(b []byte) (event, error) {
	if len(e.body) < 4 {
		return e, fmt.Errorf("binlog: event %d at %d is too short for its checksum", e.kind, e.logPos)
	}
	end := len(b) - 4
	got, want := crc32.ChecksumIEEE(b[:end]), binary.LittleEndian.Uint32(b[end:])
	if got != want {
		return e, fmt.Errorf("binlog: event of type %d that ends at %d has checksum %08x, should be %08x", e.kind, e.logPos, want, got)
	}
	e.body = e.body[:len(e.body)-4]
	return e, nil
}

// abort makes a waiting next return.
func (d *dump) abort() { d.conn.Conn.Conn.Close() }
