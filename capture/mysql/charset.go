package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charset turns the bytes of a column into UTF-8. Both the snapshot and the log
// go through it: the snapshot asks the server not to convert.
//
// What a byte means is the server's to say: its tables differ from those of the
// same names elsewhere. So for a character set of one byte the whole table is
// asked for, and for those of two the characters on which golang.org/x/text
// disagrees, when the first column that has it is met.
type charset struct {
	name string
	// maxLen is the most bytes that one character takes.
	maxLen int
	enc    encoding.Encoding // nil: the bytes are UTF-8 already, or single tells
	// single is the table of a character set of one byte.
	single *[256]rune
	// own are the characters of two bytes that the server reads in its own way.
	own map[string]string
	// ascii says that ASCII letters are themselves.
	ascii bool
	ready bool
}

func (c *charset) isBinary() bool { return c == nil || c.name == "binary" }

// text is s in UTF-8. It does not allocate where nothing changes.
func (c *charset) text(s string) (string, error) {
	switch {
	case c.enc == nil && c.single == nil, c.ascii && isASCII(s):
		return s, nil
	case c.single != nil:
		b := make([]byte, 0, len(s)+len(s)/2)
		for i := range len(s) {
			b = utf8.AppendRune(b, c.single[s[i]])
		}
		return string(b), nil
	case c.own == nil:
		return c.decode(s)
	}
	return c.textByChar(s)
}

func (c *charset) decode(s string) (string, error) {
	out, err := c.enc.NewDecoder().String(s)
	if err == nil && c.ascii && strings.ContainsRune(out, utf8.RuneError) {
		err = errors.New("bytes that stand for no character")
	}
	if err != nil {
		return "", fmt.Errorf("character set %s: 0x%x: %w", c.name, s[:min(len(s), 40)], err)
	}
	return out, nil
}

func (c *charset) textByChar(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		n := min(c.charLen(s), len(s))
		if own, ok := c.own[s[:n]]; ok {
			b.WriteString(own)
		} else if text, err := c.decode(s[:n]); err != nil {
			return "", err
		} else {
			b.WriteString(text)
		}
		s = s[n:]
	}
	return b.String(), nil
}

// charLen is the bytes of the first character of s.
func (c *charset) charLen(s string) int {
	kana := s[0] >= 0xa1 && s[0] <= 0xdf && (c.name == "sjis" || c.name == "cp932")
	switch {
	case s[0] < 0x80 || kana:
		return 1
	case s[0] == 0x8f && (c.name == "ujis" || c.name == "eucjpms"):
		return 3
	case c.name == "gb18030" && len(s) > 1 && s[1] >= 0x30 && s[1] <= 0x39:
		return 4
	}
	return 2
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// encodings are the character sets of more than one byte that we can read. A
// table with another one is refused when it is opened.
var encodings = map[string]encoding.Encoding{
	"utf8": nil, "utf8mb3": nil, "utf8mb4": nil,
	"gbk": simplifiedchinese.GBK, "gb2312": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
	"sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP, "euckr": korean.EUCKR,
	"utf16":   unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"ucs2":    unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
	"utf32":   utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
}

// prepare asks the server for what has to be known of the character set.
func (c *charset) prepare(ctx context.Context, db querier) error {
	if c == nil || c.ready || !c.readable() || c.isBinary() {
		return nil
	}
	var err error
	switch {
	case c.maxLen == 1 && c.name != "ascii":
		err = c.loadSingle(ctx, db)
	case c.maxLen > 1 && c.enc != nil && c.ascii:
		err = c.loadOwn(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("character set %s: %w", c.name, err)
	}
	c.ready = true
	return nil
}

func (c *charset) loadSingle(ctx context.Context, db querier) error {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	var text string
	q := fmt.Sprintf("select convert(convert(x'%x' using %s) using utf8mb4)", all, c.name)
	if err := db.QueryRowContext(ctx, q).Scan(&text); err != nil {
		return err
	}
	runes := []rune(text)
	if len(runes) != 256 {
		return fmt.Errorf("the server shows %d characters for 256 bytes", len(runes))
	}
	c.single = (*[256]rune)(runes)
	c.ascii = true
	for i, r := range runes[:128] {
		c.ascii = c.ascii && r == rune(i)
	}
	return nil
}

// loadOwn goes through the characters of two bytes, those of one lead byte at a
// time.
func (c *charset) loadOwn(ctx context.Context, db querier) error {
	own := map[string]string{}
	for lead := 0x81; lead <= 0xfe; lead++ {
		var pairs, exprs []string
		for trail := 0x40; trail <= 0xfe; trail++ {
			pair := string([]byte{byte(lead), byte(trail)})
			if c.charLen(pair) != 2 {
				continue
			}
			pairs = append(pairs, pair)
			exprs = append(exprs, fmt.Sprintf("convert(convert(x'%x' using %s) using utf8mb4)", pair, c.name))
		}
		if len(pairs) == 0 {
			continue
		}
		got := make([]sql.NullString, len(pairs))
		into := make([]any, len(pairs))
		for i := range got {
			into[i] = &got[i]
		}
		if err := db.QueryRowContext(ctx, "select "+strings.Join(exprs, ", ")).Scan(into...); err != nil {
			return err
		}
		for i, pair := range pairs {
			if !got[i].Valid || strings.Contains(got[i].String, "?") {
				continue // the server has no character for it
			}
			if text, err := c.decode(pair); err != nil || text != got[i].String {
				own[pair] = got[i].String
			}
		}
	}
	if len(own) > 0 {
		c.own = own
	}
	return nil
}

// charsets are those of a server, by name and by collation.
type charsets struct {
	byName      map[string]*charset
	byCollation map[uint64]*charset
}

// loadCharsets asks the server, because the ids of collations differ between
// MySQL and MariaDB and grow with each version.
func loadCharsets(ctx context.Context, db querier, mariadb bool) (*charsets, error) {
	cs := &charsets{byName: map[string]*charset{}, byCollation: map[uint64]*charset{}}
	rows, err := db.QueryContext(ctx, "select character_set_name, maxlen from information_schema.character_sets")
	if err != nil {
		return nil, fmt.Errorf("character sets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c := &charset{}
		if err := rows.Scan(&c.name, &c.maxLen); err != nil {
			return nil, fmt.Errorf("character sets: %w", err)
		}
		c.enc = encodings[c.name]
		c.ascii = !strings.HasPrefix(c.name, "utf16") && c.name != "utf32" && c.name != "ucs2"
		cs.byName[c.name] = c
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("character sets: %w", err)
	}
	return cs, cs.loadCollations(ctx, db, mariadb)
}

func (cs *charsets) loadCollations(ctx context.Context, db querier, mariadb bool) error {
	q := "select id, character_set_name from information_schema.collations where id is not null"
	if mariadb {
		// Since 10.10 only this view has the ids of the UCA 14.0.0 collations.
		const wide = "select id, character_set_name from information_schema.collation_character_set_applicability where id is not null"
		var has int
		if err := db.QueryRowContext(ctx, "select count(*) from ("+wide+" limit 1) w").Scan(&has); err == nil {
			q = wide
		}
	}
	rows, err := db.QueryContext(ctx, q)
	if err != nil {
		return fmt.Errorf("collations: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uint64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return fmt.Errorf("collations: %w", err)
		}
		if c := cs.byName[name]; c != nil {
			cs.byCollation[id] = c
		}
	}
	return rows.Err()
}

// readable says whether we can turn the character set into UTF-8.
func (c *charset) readable() bool {
	_, ok := encodings[c.name]
	return ok || c.maxLen == 1
}
