package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a parsed YAML text that can say where something stands.
type document struct {
	file string
	text []byte
	ast  *ast.File
}

// decodeStrict reads a text into v and refuses keys that v does not have.
func decodeStrict(file string, text []byte, v any) (*document, error) {
	d := &document{file: file, text: text}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, d.explain(err)
	}
	d.ast = f
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField()).Decode(v)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, d.explain(err)
	}
	return d, nil
}

// explain gives an error of the YAML reader its place in the text.
func (d *document) explain(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	return d.at(at.GetToken(), plain(at.GetMessage()))
}

var (
	wrongType    = regexp.MustCompile(`cannot unmarshal (\S+) into Go (?:struct field \S+|value) of type (\S+)`)
	unknownField = regexp.MustCompile(`unknown field "(.*)"`)
)

// plain says in the words of a settings file what the decoder says in Go's.
func plain(msg string) string {
	msg = wrongType.ReplaceAllString(msg, "this is a $1 where $2 is expected")
	return unknownField.ReplaceAllString(msg, "there is no setting $1 here")
}

// errorf is an error at the node of a path like $.systems.crm.url, or at the
// nearest node above it that exists.
func (d *document) errorf(path, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	for p := path; ; {
		if n := d.node(p); n != nil {
			return d.at(n.GetToken(), msg)
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			return fmt.Errorf("%s: %s", d.file, msg)
		}
		p = p[:i]
	}
}

func (d *document) has(path string) bool { return d.node(path) != nil }

// node is the node of a path, nil if there is none. Of a mapping it is the key
// above it, which is where a person looks.
func (d *document) node(path string) ast.Node {
	p, err := yaml.PathString(path)
	if err != nil || d.ast == nil {
		return nil
	}
	n, err := p.FilterFile(d.ast)
	if err != nil || n == nil || path == "$" {
		return nil
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key
	}
	return n
}

// at is file:line:column with the line and a caret under the place.
func (d *document) at(t *token.Token, msg string) error {
	line, col := t.Position.Line, t.Position.Column
	lines := strings.Split(string(d.text), "\n")
	if line < 1 || line > len(lines) {
		return fmt.Errorf("%s: %s", d.file, msg)
	}
	return fmt.Errorf("%s:%d:%d: %s\n%5d | %s\n      | %s^", d.file, line, col, msg, line, strings.TrimRight(lines[line-1], "\r"), strings.Repeat(" ", max(0, col-1)))
}
