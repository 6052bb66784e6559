//go:build !noservers

package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
)

// Every byte of the character sets of one byte, and pairs of the wider ones, must
// become what the server itself makes of it.
func TestCharsetsAgreeWithMariaDB(t *testing.T) { charsetsAgree(t, testenv.MariaDB(t)) }
func TestCharsetsAgreeWithMySQL(t *testing.T)   { charsetsAgree(t, testenv.MySQL(t)) }

func charsetsAgree(t *testing.T, s *testenv.Server) {
	ctx := context.Background()
	db := s.DB()
	srv, err := identify(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := loadCharsets(ctx, db, srv.mariadb)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, c := range cs.byName {
		if !c.readable() || c.enc == nil && c.maxLen > 1 || c.isBinary() || name == "ascii" {
			continue
		}
		if err := c.prepare(ctx, db); err != nil {
			t.Fatal(err)
		}
		checked++
		var diffs []string
		n := 0
		for _, from := range []int{0, 0x81, 0x87, 0xa1, 0xb5, 0xf5, 0xfe} {
			var codes []string
			if c.maxLen == 1 {
				if from > 0 {
					break
				}
				for b := range 256 {
					codes = append(codes, fmt.Sprintf("%02x", b))
				}
			} else {
				for b := range 256 {
					codes = append(codes, fmt.Sprintf("%02x%02x", from, b))
				}
			}
			// Of the wide ones the surrogates and what needs four bytes stay out.
			if name == "utf32" || strings.HasPrefix(name, "utf16") || name == "ucs2" && from >= 0xd8 && from <= 0xdf || c.ascii && c.maxLen > 1 && from == 0 {
				continue
			}
			exprs := make([]string, len(codes))
			for i, code := range codes {
				exprs[i] = fmt.Sprintf("convert(convert(x'%s' using %s) using utf8mb4)", code, name)
			}
			got := make([]any, len(codes))
			into := make([]any, len(codes))
			for i := range got {
				into[i] = &got[i]
			}
			if err := db.QueryRowContext(ctx, "select "+strings.Join(exprs, ", ")).Scan(into...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i, code := range codes {
				want, ok := got[i].([]byte)
				if !ok || strings.Contains(string(want), "?") && code != "3f" {
					continue // not well-formed: no column can hold it
				}
				var raw []byte
				fmt.Sscanf(code, "%x", &raw)
				text, err := c.text(string(raw))
				if err != nil || text != string(want) {
					n++
					if len(diffs) < 12 {
						diffs = append(diffs, fmt.Sprintf("%s: %q, server %q", code, text, want))
					}
				}
			}
		}
		if n > 0 {
			t.Errorf("%s: %d differences: %s", name, n, strings.Join(diffs, "; "))
		}
	}
	if checked < 25 {
		t.Errorf("only %d character sets checked", checked)
	}
}
