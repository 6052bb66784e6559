package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Bounds of what the embedded broker is shown. It allocates what a frame claims
// to hold before it reads it, and ends the process on a request it has no name
// for: an HTTP client at the wrong port is enough.
const (
	guardMaxFrame   = 64 << 20
	guardMaxKey     = 92
	guardMaxVersion = 30
)

// guardListener lets only well-formed requests through, and nobody in before
// ready is closed.
type guardListener struct {
	net.Listener
	ready <-chan struct{}
}

// Accept waits for the next connection.
func (l guardListener) Accept() (net.Conn, error) {
	<-l.ready
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardConn{Conn: c}, nil
}

// guardConn looks at the first 8 bytes of each request (size, key, version)
// before it passes them on, and ends the connection if they make no sense.
type guardConn struct {
	net.Conn
	// head holds what was looked at and not passed on yet; left is how many
	// bytes of the request are still to come behind it. Owned by Read, which the
	// broker calls from one goroutine.
	head []byte
	left int
	buf  [8]byte
}

func (c *guardConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 && c.left == 0 {
		if err := c.look(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= n
	return n, err
}

func (c *guardConn) look() error {
	if n, err := io.ReadFull(c.Conn, c.buf[:]); err != nil {
		if n == 0 {
			return io.EOF
		}
		return err
	}
	size := binary.BigEndian.Uint32(c.buf[:])
	key, version := binary.BigEndian.Uint16(c.buf[4:]), binary.BigEndian.Uint16(c.buf[6:])
	if size < 8 || size > guardMaxFrame || key > guardMaxKey || version > guardMaxVersion {
		c.Conn.Close()
		return fmt.Errorf("no Kafka request: %d bytes, key %d, version %d", size, key, version)
	}
	c.head, c.left = c.buf[:], int(size)-4
	return nil
}
