package schemas

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func genValue() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Just(Null), rapid.Just(Unchanged),
		rapid.Map(rapid.Int64(), Int), rapid.Map(rapid.Uint64(), Uint), rapid.Map(rapid.Float64(), Float),
		rapid.SampledFrom([]Value{Float(math.NaN()), Float(math.Inf(1)), Float(math.Copysign(0, -1)), Bool(true), Bool(false), Text("i:5"), Text("~"), Text("null")}),
		rapid.Map(rapid.String(), Text),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) Value { return Bytes(string(b)) }))
}

// TestValueJSON: a value in JSON comes back as the same value.
func TestValueJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue().Draw(t, "value")
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back Value
		if err := json.Unmarshal(text, &back); err != nil || back != v {
			t.Fatalf("%s is read as %v (%v), was %v", text, back, err, v)
		}
	})
	for _, bad := range []string{`"x"`, `""`, `"q:1"`, `"i:x"`, `"u:-1"`, `"b:%"`, `5`} {
		var v Value
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s was read as %v", bad, v)
		}
	}
}

func TestValueEqual(t *testing.T) {
	if Float(math.NaN()) != Float(math.Float64frombits(0x7ff8000000000123)) {
		t.Error("two NaNs differ")
	}
	if Text("1") == Bytes("1") || Int(1) == Uint(1) || Null == Int(0) || Null == Unchanged {
		t.Error("values of different storage are equal")
	}
	if !Bool(true).Bool() || Bool(false) != Int(0) {
		t.Error("booleans are not 0 and 1")
	}
	for want, v := range map[string]Value{"NULL": Null, "(unchanged)": Unchanged, "-5": Int(-5), "18446744073709551615": Uint(math.MaxUint64),
		"1.5": Float(1.5), "x": Text("x"), "0x00ff": Bytes("\x00\xff")} {
		if v.String() != want {
			t.Errorf("got %s, want %s", v, want)
		}
	}
}

// TestKeyText: what FormatKey writes, ParseKey reads, slashes and percent signs
// in the values included; keys that differ have texts that differ.
func TestKeyText(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[%/2F5a]{0,8}`))
	rapid.Check(t, func(t *rapid.T) {
		var key []Value
		var types []Type
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				key, types = append(key, Int(rapid.Int64().Draw(t, "int"))), append(types, Type{Kind: KindInt64})
			case 1:
				key, types = append(key, Uint(rapid.Uint64().Draw(t, "uint"))), append(types, Type{Kind: KindUint64})
			case 2:
				key, types = append(key, Text(text.Draw(t, "text"))), append(types, Type{Kind: KindText})
			}
		}
		s := FormatKey(key)
		back, ok := ParseKey(s, types)
		if !ok || len(back) != len(key) {
			t.Fatalf("%q cannot be read", s)
		}
		for i := range key {
			if back[i] != key[i] {
				t.Fatalf("%q is read as %v, was %v", s, back, key)
			}
		}
	})
	for _, c := range []struct {
		text string
		kind Kind
	}{{"x", KindInt64}, {"1/2", KindInt64}, {"-1", KindUint64}, {"0x00", KindBytes}} {
		if v, ok := ParseKey(c.text, []Type{{Kind: c.kind}}); ok {
			t.Errorf("%q was read as %v", c.text, v)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, o := range []Origin{{}, {"erp-to-crm", 7}, {"a:b", -1}, {"x", math.MaxInt64}} {
		if back := ParseOrigin(o.String()); back != o {
			t.Errorf("%q is read as %+v, was %+v", o, back, o)
		}
	}
	for _, bad := range []string{"", "x", "x:", "x:y", ":"} {
		if o := ParseOrigin(bad); !o.IsZero() {
			t.Errorf("%q is read as %+v", bad, o)
		}
	}
}

func TestTopicName(t *testing.T) {
	for want, n := range map[string]TableName{
		"crm.public.orders":                 {"public", "orders"},
		"crm.lc.Mixed_Case":                 {"lc", "Mixed Case"},
		"crm.lc.____":                       {"lc", "żółć"},
		"crm.lc.dot.dash-dollar_":           {"lc", "dot.dash-dollar$"},
		"crm.lc.under_score":                {"lc", "under_score"},
		"crm.a.b.c_d":                       {"a.b", "c\x00d"},
		"crm.x." + strings.Repeat("y", 243): {"x", strings.Repeat("y", 300)},
	} {
		if got := TopicName("crm", n); got != want {
			t.Errorf("%s: got %s, want %s", n, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	tab := &Table{Columns: []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}, Key: []int{2, 0}}
	if tab.Column("b") != 1 || tab.Column("x") != -1 {
		t.Error("columns are not found by name")
	}
	if k := tab.KeyOf(Row{Int(1), Int(2), Int(3)}); k[0] != Int(3) || k[1] != Int(1) {
		t.Errorf("key is %v", k)
	}
	if ParseTableName("orders", "public") != (TableName{"public", "orders"}) || ParseTableName("a.b.c", "x") != (TableName{"a", "b.c"}) {
		t.Error("table names are not read")
	}
}
