package mysql

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// gtid names one transaction. The zero gtid names none (a MySQL server without
// GTIDs).
type gtid struct {
	// MariaDB
	domain, server uint32
	// MySQL
	sid [16]byte
	tag mysql.Tag

	seq     uint64
	mariadb bool
}

func (g gtid) isZero() bool { return g.seq == 0 }

func (g gtid) String() string {
	if g.mariadb {
		return strconv.FormatUint(uint64(g.domain), 10) + "-" + strconv.FormatUint(uint64(g.server), 10) + "-" + strconv.FormatUint(g.seq, 10)
	}
	h := hex.EncodeToString(g.sid[:])
	s := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + ":"
	if tag := g.tag.String(); tag != "" {
		s += tag + ":"
	}
	return s + strconv.FormatUint(g.seq, 10)
}

// gtidSet is the set of transactions up to a place in the log. It is owned by
// the queue: a transaction is added when it has ended, never before.
type gtidSet interface {
	add(gtid)
	String() string
}

// mariadbSet is the last transaction of each domain, which is how MariaDB writes
// a replication position.
type mariadbSet map[uint32]gtid

func (s mariadbSet) add(g gtid) {
	if !g.isZero() {
		s[g.domain] = g
	}
}

func (s mariadbSet) String() string {
	domains := make([]int, 0, len(s))
	for d := range s {
		domains = append(domains, int(d))
	}
	sort.Ints(domains)
	parts := make([]string, len(domains))
	for i, d := range domains {
		parts[i] = s[uint32(d)].String()
	}
	return strings.Join(parts, ",")
}

func parseMariadbSet(text string) (mariadbSet, error) {
	s := mariadbSet{}
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		var n [3]uint64
		f := strings.Split(part, "-")
		if len(f) != 3 {
			return nil, fmt.Errorf("gtid %q: want domain-server-sequence", part)
		}
		for i := range f {
			v, err := strconv.ParseUint(f[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("gtid %q: want domain-server-sequence", part)
			}
			n[i] = v
		}
		s[uint32(n[0])] = gtid{domain: uint32(n[0]), server: uint32(n[1]), seq: n[2], mariadb: true}
	}
	return s, nil
}

// mysqlSet is a set of intervals for each server and tag.
type mysqlSet struct{ set *mysql.MysqlGTIDSet }

func (s mysqlSet) add(g gtid) {
	if !g.isZero() {
		s.set.AddGTIDWithTag(g.sid, g.tag, int64(g.seq))
	}
}

func (s mysqlSet) String() string { return s.set.String() }

func parseMySQLSet(text string) (mysqlSet, error) {
	set, err := mysql.ParseMysqlGTIDSet(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return mysqlSet{}, fmt.Errorf("gtid set %q: %w", text, err)
	}
	return mysqlSet{set.(*mysql.MysqlGTIDSet)}, nil
}

func parseSet(mariadb bool, text string) (gtidSet, error) {
	if mariadb {
		return parseMariadbSet(text)
	}
	return parseMySQLSet(text)
}
