package postgres

import (
	"fmt"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// parse reads a value as the server prints it. b is good only during the call.
type parse func(a *arena, b []byte) (schemas.Value, error)

// nativeType is one row of the table of types.
type nativeType struct {
	// typ is the type for a type modifier, which is -1 where there is none.
	typ   func(mod int32) schemas.Type
	parse parse
	// noArray is true where an array's text would not be that of its elements.
	noArray bool
}

func of(k schemas.Kind) func(int32) schemas.Type {
	return func(int32) schemas.Type { return schemas.Type{Kind: k} }
}

// types is the one table of types, of the snapshot and of the log, by name.
// Those with a point in front are of an extension and may be in any schema.
//
// Timestamps after 294247-01-10 04:00:54 do not fit into microseconds since 1970
// and become the last that does. A bit varying loses its leading zeros' number,
// as KindBits has only whole bytes.
var types = map[string]nativeType{
	"bool":        {of(schemas.KindBool), parseBool, false},
	"int2":        {of(schemas.KindInt16), parseInt, false},
	"int4":        {of(schemas.KindInt32), parseInt, false},
	"int8":        {of(schemas.KindInt64), parseInt, false},
	"oid":         {of(schemas.KindInt64), parseInt, false},
	"float4":      {of(schemas.KindFloat32), parseFloat32, false},
	"float8":      {of(schemas.KindFloat64), parseFloat64, false},
	"numeric":     {numericType, parseText, false},
	"money":       {nil, nil, true}, // see catalog.money
	"text":        {of(schemas.KindText), parseText, false},
	"varchar":     {lengthType(schemas.KindText, 4), parseText, false},
	"bpchar":      {lengthType(schemas.KindText, 4), parseText, false},
	"char":        {of(schemas.KindText), parseText, false},
	"name":        {of(schemas.KindText), parseText, false},
	"xml":         {of(schemas.KindText), parseText, false},
	"inet":        {of(schemas.KindText), parseText, false},
	"cidr":        {of(schemas.KindText), parseText, false},
	"macaddr":     {of(schemas.KindText), parseText, false},
	"macaddr8":    {of(schemas.KindText), parseText, false},
	".citext":     {of(schemas.KindText), parseText, false},
	".hstore":     {of(schemas.KindText), parseText, false},
	".ltree":      {of(schemas.KindText), parseText, false},
	"bytea":       {of(schemas.KindBytes), parseBytes, false},
	"date":        {of(schemas.KindDate), parseDate, false},
	"time":        {fractionType(schemas.KindTime), parseTime, false},
	"timetz":      {fractionType(schemas.KindTimeTZ), parseText, false},
	"timestamp":   {fractionType(schemas.KindTimestamp), parseTimestamp, false},
	"timestamptz": {fractionType(schemas.KindTimestampTZ), parseTimestamp, false},
	"interval":    {of(schemas.KindInterval), parseText, false},
	"bit":         {lengthType(schemas.KindBits, 0), parseBits, false},
	"varbit":      {lengthType(schemas.KindBits, 0), parseBits, false},
	"json":        {of(schemas.KindJSON), parseText, false},
	"jsonb":       {of(schemas.KindJSON), parseText, false},
	"uuid":        {of(schemas.KindUUID), parseText, false},
}

func lengthType(k schemas.Kind, header int32) func(int32) schemas.Type {
	return func(mod int32) schemas.Type {
		t := schemas.Type{Kind: k}
		if mod >= header {
			t.Length = int(mod - header)
		}
		return t
	}
}

func fractionType(k schemas.Kind) func(int32) schemas.Type {
	return func(mod int32) schemas.Type {
		if mod < 0 || mod > 6 {
			mod = 6
		}
		return schemas.Type{Kind: k, Precision: int(mod)}
	}
}

// numericType reads precision and scale out of the modifier; a negative scale
// rounds to the left of the point and prints no digits behind it.
func numericType(mod int32) schemas.Type {
	if mod < 4 {
		return schemas.Type{Kind: schemas.KindNumeric}
	}
	mod -= 4
	scale := int(mod&0x7ff^0x400) - 0x400
	return schemas.Type{Kind: schemas.KindDecimal, Precision: int(mod >> 16 & 0xffff), Scale: max(scale, 0)}
}

// typeInfo is a type of the catalog.
type typeInfo struct {
	oid          uint32
	schema, name string
	kind         byte // pg_type.typtype
	base         uint32
	baseMod      int32
	elem         uint32
	labels       []string
}

// resolved is what a column's type comes to.
type resolved struct {
	typ   schemas.Type
	parse parse
	// labels is not nil for an enumeration: a label that is not in it is newer than
	// the shape.
	labels map[string]bool
}

// resolve looks up a type that load has made known.
func (c *catalog) resolve(oid uint32, mod int32) (resolved, error) {
	t := c.types[oid]
	if t == nil {
		// The type was dropped with its table while we were behind. Only an enumeration,
		// a domain or an array of them can be dropped: its text is still its value.
		return resolved{typ: schemas.Type{Kind: schemas.KindText}, parse: parseText}, nil
	}
	switch {
	case t.kind == 'd':
		if mod < 0 {
			mod = t.baseMod
		}
		return c.resolve(t.base, mod)
	case t.kind == 'e':
		return enumType(t), nil
	case t.elem != 0:
		return c.resolveArray(t, mod)
	}
	if t.schema == "pg_catalog" && t.name == "money" {
		return c.money(), nil
	}
	native, ok := types[t.name]
	if t.schema != "pg_catalog" {
		native, ok = types["."+t.name]
	}
	if !ok || t.kind != 'b' {
		return resolved{}, fmt.Errorf("the type %s is %w", t.name, capture.ErrUnsupported)
	}
	return resolved{typ: native.typ(mod), parse: native.parse}, nil
}

func enumType(t *typeInfo) resolved {
	labels := make(map[string]bool, len(t.labels))
	for _, l := range t.labels {
		labels[l] = true
	}
	return resolved{typ: schemas.Type{Kind: schemas.KindEnum, Labels: t.labels}, parse: parseText, labels: labels}
}

func (c *catalog) resolveArray(t *typeInfo, mod int32) (resolved, error) {
	elem, err := c.resolve(t.elem, mod)
	if err != nil {
		return elem, err
	}
	if e := c.types[t.elem]; e != nil && e.schema == "pg_catalog" && types[e.name].noArray {
		return resolved{}, fmt.Errorf("an array of %s is %w", e.name, capture.ErrUnsupported)
	}
	return resolved{typ: schemas.Type{Kind: schemas.KindArray, Elem: &elem.typ}, parse: parseText}, nil
}

// money is a decimal with as many digits behind the point as the database's
// lc_monetary has.
func (c *catalog) money() resolved {
	return resolved{
		typ:   schemas.Type{Kind: schemas.KindDecimal, Precision: 19, Scale: c.moneyScale},
		parse: func(a *arena, b []byte) (schemas.Value, error) { return parseMoney(a, b, c.moneyScale) },
	}
}
