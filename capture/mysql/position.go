package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// place is an offset in a binlog file.
type place struct {
	file   string
	number uint32 // of the file
	offset uint64
}

// maxOffset is the highest offset that the protocol can name: event headers and
// the dump command have 32 bits for it.
const maxOffset = 1<<32 - 1

func newPlace(file string, offset uint64) (place, error) {
	i := strings.LastIndexByte(file, '.')
	n, err := strconv.ParseUint(file[i+1:], 10, 32)
	if i < 0 || err != nil {
		return place{}, fmt.Errorf("binlog file name %q has no number", file)
	}
	return place{file: file, number: uint32(n), offset: offset}, nil
}

// end is the place as Position.End.
func (p place) end() uint64 { return uint64(p.number)<<32 | min(p.offset, maxOffset) }

func (p place) String() string { return p.file + ":" + strconv.FormatUint(p.offset, 10) }

func parsePlace(s string) (place, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return place{}, fmt.Errorf("binlog place %q: want file:offset", s)
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("binlog place %q: want file:offset", s)
	}
	return newPlace(s[:i], n)
}

// native is the text of Position.Native taken apart:
//
//	binlog.000003:1234 gtid=0-1-55 made=1735689600 xa=binlog.000002:900
//
// gtid is the set reached at the place; absent where the server has none. made is
// when the file was begun, in Unix seconds, absent until the file has been read:
// after RESET MASTER there is another file of the same name. xa is the start of
// the oldest XA transaction that was prepared before the place and neither
// committed nor rolled back: its rows have to be read again.
type native struct {
	at   place
	gtid string
	made uint32
	xa   *place
}

func (n native) String() string {
	s := n.at.String()
	if n.gtid != "" {
		s += " gtid=" + n.gtid
	}
	if n.made != 0 {
		s += " made=" + strconv.FormatUint(uint64(n.made), 10)
	}
	if n.xa != nil {
		s += " xa=" + n.xa.String()
	}
	return s
}

func parseNative(s string) (native, error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return native{}, fmt.Errorf("position without file and offset")
	}
	at, err := parsePlace(fields[0])
	if err != nil {
		return native{}, err
	}
	n := native{at: at}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "gtid":
			n.gtid = value
		case "made":
			made, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return native{}, fmt.Errorf("position %q: %w", s, err)
			}
			n.made = uint32(made)
		case "xa":
			p, err := parsePlace(value)
			if err != nil {
				return native{}, err
			}
			n.xa = &p
		default:
			return native{}, fmt.Errorf("position %q: unknown part %q", s, key)
		}
	}
	return n, nil
}

// startsAt is where the log has to be read from to go on behind the position.
func (n native) startsAt() place {
	if n.xa != nil {
		return *n.xa
	}
	return n.at
}

func (n native) position(source string) schemas.Position {
	return schemas.Position{Source: source, End: n.at.end(), Native: n.String()}
}

func lost(format string, args ...any) error {
	return fmt.Errorf("%s: %w; take a new snapshot with: strait run --snapshot <system>", fmt.Sprintf(format, args...), capture.ErrPositionLost)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), capture.ErrUnsupported)
}
