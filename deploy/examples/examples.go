// Package examples is a small business in two databases, a CRM and an ERP that
// know nothing of each other, and the mapping documents between them. It is what
// the demonstration runs and what tests of whole pipelines start from.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.sql mapping/*.yaml
var files embed.FS

// Schema is the statements, in order, that make the tables and triggers of a
// side ("crm" or "erp") in an empty database. Dialect is "postgres", "mysql" or
// "mariadb"; the last two are the same. Each statement is to be sent by itself.
func Schema(side, dialect string) []string {
	if dialect == "mariadb" {
		dialect = "mysql"
	}
	text, err := files.ReadFile(side + "." + dialect + ".sql")
	if err != nil {
		panic(fmt.Sprintf("examples: no schema for side %q in dialect %q", side, dialect))
	}
	var out []string
	for _, s := range strings.Split(string(text), "\n-- ;;\n") {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

// Mapping is the mapping documents, in the root of the file system.
func Mapping() fs.FS {
	sub, err := fs.Sub(files, "mapping")
	if err != nil {
		panic("examples: the mapping folder is not embedded")
	}
	return sub
}
