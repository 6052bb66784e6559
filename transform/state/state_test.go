package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestStores runs the same random programs on Badger and on Memory and wants the
// same answers, and the same content after closing and opening again.
func TestStores(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMemory()
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			ops := rapid.SliceOfN(rapid.IntRange(0, 999), 1, 20).Draw(rt, "ops")
			fail := rapid.Bool().Draw(rt, "fail")
			prog := func(out *bytes.Buffer) func(Txn) error {
				return func(tx Txn) error { return run(tx, ops, fail, out) }
			}
			var got, want bytes.Buffer
			errB, errM := b.Update(prog(&got)), m.Update(prog(&want))
			if (errB == nil) != (errM == nil) || got.String() != want.String() {
				rt.Fatalf("badger %v %q, memory %v %q", errB, got.String(), errM, want.String())
			}
		}
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	var got, want bytes.Buffer
	_ = b.View(func(tx Txn) error { return dump(tx, &got) })
	_ = m.View(func(tx Txn) error { return dump(tx, &want) })
	if got.String() != want.String() {
		t.Fatalf("after reopening: badger %q, memory %q", got.String(), want.String())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

var errTest = errors.New("made to fail")

func run(tx Txn, ops []int, fail bool, out *bytes.Buffer) error {
	for i, op := range ops {
		k := Key("k", fmt.Sprint(op%7), fmt.Sprint(op%3))
		switch op % 4 {
		case 0, 1:
			var v []byte // may be empty
			if op%5 > 0 {
				v = []byte(fmt.Sprint(op, i))
			}
			if err := tx.Set(k, v); err != nil {
				return err
			}
		case 2:
			if err := tx.Delete(k); err != nil {
				return err
			}
		case 3:
			v, err := tx.Get(k)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%q=%q %v;", k, v, v == nil)
		}
	}
	if err := dump(tx, out); err != nil {
		return err
	}
	if fail {
		return errTest
	}
	return nil
}

func dump(tx Txn, out *bytes.Buffer) error {
	return tx.Scan(Prefix("k"), func(k, v []byte) (bool, error) {
		fmt.Fprintf(out, "%q:%q;", k, v)
		return true, nil
	})
}

func TestMemoryFaults(t *testing.T) {
	m := NewMemory()
	set := func(v string) error {
		return m.Update(func(tx Txn) error { return tx.Set(Key("a"), []byte(v)) })
	}
	get := func() (v string) {
		_ = m.View(func(tx Txn) error { b, err := tx.Get(Key("a")); v = string(b); return err })
		return v
	}
	m.Fault = func() (bool, error) { return false, errTest }
	if err := set("1"); err == nil || get() != "" {
		t.Fatalf("failed and did not happen: got %q, %v", get(), err)
	}
	m.Fault = func() (bool, error) { return true, errTest }
	if err := set("2"); err == nil || get() != "2" {
		t.Fatalf("failed but did happen: got %q, %v", get(), err)
	}
}

// TestOwnWritesAreScannedInOrder writes enough for several blocks of keys, over
// what is there already and with deletions, and scans in between.
func TestOwnWritesAreScannedInOrder(t *testing.T) {
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m := NewMemory()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2 {
		keys, kinds := make([]int, 3*keyBlock), r.Perm(3*keyBlock)
		for i := range keys {
			keys[i] = r.IntN(4 * keyBlock)
		}
		prog := func(out *bytes.Buffer) func(Txn) error {
			return func(tx Txn) error {
				for i, k := range keys {
					key := Key("k", fmt.Sprintf("%05d", k))
					var err error
					if kinds[i]%3 == 0 {
						err = tx.Delete(key)
					} else {
						err = tx.Set(key, []byte(fmt.Sprint(i)))
					}
					if err != nil {
						return err
					}
					if i%100 == 0 {
						if err := dump(tx, out); err != nil {
							return err
						}
					}
				}
				return dump(tx, out)
			}
		}
		var got, want bytes.Buffer
		if err := errors.Join(b.Update(prog(&got)), m.Update(prog(&want))); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatal("badger and memory scan differently")
		}
	}
}
