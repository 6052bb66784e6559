package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// loadMapping reads the mapping folder and sees that it and the configuration
// name the same systems.
func (c *Config) loadMapping() (*mapping.Docs, error) {
	if _, err := os.Stat(c.Mapping); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("mapping: there is no folder %s; set mapping in %s", c.Mapping, c.file)
	}
	docs, err := mapping.Load(os.DirFS(c.Mapping))
	if err != nil {
		return nil, err
	}
	named := docs.Systems()
	for _, s := range named {
		if c.Systems[s] == nil {
			return nil, fmt.Errorf("mapping: the files in %s name a system %q; %s has %s", c.Mapping, s, c.file, strings.Join(c.names(), ", "))
		}
	}
	for _, s := range c.names() {
		if !slices.Contains(named, s) {
			return nil, fmt.Errorf("mapping: no file in %s names the system %q of %s", c.Mapping, s, c.file)
		}
	}
	return docs, nil
}

// compile checks the mapping against the databases as they are now.
func (c *Config) compile(ctx context.Context, docs *mapping.Docs) (*mapping.Set, error) {
	systems := c.systems()
	tables := make([][]*schemas.Table, len(systems))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range systems {
		g.Go(func() (err error) {
			tables[i], err = s.driver().Catalog(ctx, docs.TablesOf(s.name, s.Schema))
			if err != nil {
				return fmt.Errorf("catalog of %s: %w", s.name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	catalogs := map[string]mapping.System{}
	for i, s := range systems {
		byName := map[schemas.TableName]*schemas.Table{}
		for _, t := range tables[i] {
			byName[t.Name] = t
		}
		catalogs[s.name] = mapping.System{DefaultSchema: s.Schema, Tables: byName}
	}
	return mapping.Compile(docs, catalogs)
}
