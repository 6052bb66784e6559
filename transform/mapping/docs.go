package mapping

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// Docs are mapping documents that have been read but not yet checked against a
// database.
type Docs struct {
	entities []*entityDoc
	codeMaps []*codeMapDoc
	// systems in the order in which they are first named.
	systems []string
}

type entityDoc struct {
	name            text
	quiet, maxQuiet time.Duration
	root            *partDoc
	children        []*partDoc
}

type partDoc struct {
	name text // of a child
	pos  pos
	// sides, create and deletedIn are by system.
	sides     []*sideDoc
	match     []*matchDoc
	create    map[string]text
	deletedIn map[string]*deletedDoc
	fields    []*fieldDoc
}

type sideDoc struct {
	system   text
	table    text
	key      []text
	newKey   text
	where    text
	parent   []text
	readOnly bool
	joins    []*joinDoc
	defaults []*cellDoc
}

type joinDoc struct {
	name, table text
	on          [][2]text // column of the joined table, column of the own table
}

// cellDoc is a column with a constant or an expression.
type cellDoc struct {
	column, constant, expr text
}

type matchDoc struct {
	name   text
	fields []text
	unless text
}

type deletedDoc struct {
	do        text
	set, undo []*cellDoc
}

type fieldDoc struct {
	pos      pos
	name     text
	typ      text
	ref      text
	codes    text
	owner    text
	resolve  text
	tie      text
	required bool
	via      []text
	sides    map[string]*fieldSideDoc
}

type fieldSideDoc struct {
	pos      pos
	columns  []text
	expr     text
	via      []text
	readOnly bool
}

type codeMapDoc struct {
	name    text
	unknown text
	rows    []*codeRowDoc
}

type codeRowDoc struct {
	pos  pos
	is   text
	keys []text // systems, in order
	on   map[string][]text
}

// Load reads all *.yaml and *.yml files of a folder and its subfolders, in the
// order of their names. The error is an Errors with everything that is wrong.
func Load(fsys fs.FS) (*Docs, error) {
	var names []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (path.Ext(p) == ".yaml" || path.Ext(p) == ".yml") {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("mapping: no *.yaml file found")
	}
	sort.Strings(names)
	docs := &Docs{}
	ps := &problems{}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		docs.read(name, data, ps)
	}
	docs.unique(ps)
	if err := ps.err(); err != nil {
		return nil, err
	}
	return docs, nil
}

func (d *Docs) read(name string, data []byte, ps *problems) {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	src := &source{name: name, lines: strings.Split(text, "\n")}
	r := &reader{src: src, problems: ps}
	for _, v := range r.parse([]byte(text)) {
		o := v.object()
		if o == nil {
			continue
		}
		kind := o.require("kind")
		switch {
		case !kind.set():
		case kind.s == "Entity":
			if e := r.entity(o); e != nil {
				d.entities = append(d.entities, e)
				for _, s := range e.root.sides {
					d.see(s.system.s)
				}
			}
		case kind.s == "CodeMap":
			d.codeMaps = append(d.codeMaps, r.codeMap(o))
		default:
			r.add(kind.pos, didYouMean(kind.s, []string{"Entity", "CodeMap"}), "unknown kind %q", kind.s)
		}
	}
}

func (d *Docs) see(system string) {
	if !contains(d.systems, system) {
		d.systems = append(d.systems, system)
	}
}

func (d *Docs) unique(ps *problems) {
	seen := map[string]pos{}
	check := func(what string, t text) {
		if at, ok := seen[what+t.s]; ok {
			ps.add(t.pos, "", "%s %q is already defined at %s", what, t.s, at)
		}
		seen[what+t.s] = t.pos
	}
	for _, e := range d.entities {
		check("entity", e.name)
	}
	for _, c := range d.codeMaps {
		check("code map", c.name)
	}
}

// Systems are the names of the systems, in the order in which the documents
// first name them. It is the order of the two sides in all compiled entities.
func (d *Docs) Systems() []string { return append([]string(nil), d.systems...) }

// EntityNames are the names of the entities, in order.
func (d *Docs) EntityNames() []string {
	out := make([]string, len(d.entities))
	for i, e := range d.entities {
		out[i] = e.name.s
	}
	return out
}

// TablesOf are the tables of a system that the documents name: those of
// entities, of their children and of joins, sorted and each once. It is what has
// to be captured, and needs no catalog.
func (d *Docs) TablesOf(system, defaultSchema string) []schemas.TableName {
	seen := map[schemas.TableName]bool{}
	for _, e := range d.entities {
		for _, p := range append([]*partDoc{e.root}, e.children...) {
			s := p.side(system)
			if s == nil {
				continue
			}
			seen[schemas.ParseTableName(s.table.s, defaultSchema)] = true
			for _, j := range s.joins {
				seen[schemas.ParseTableName(j.table.s, defaultSchema)] = true
			}
		}
	}
	out := make([]schemas.TableName, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

func (p *partDoc) side(system string) *sideDoc {
	for _, s := range p.sides {
		if s.system.s == system {
			return s
		}
	}
	return nil
}
