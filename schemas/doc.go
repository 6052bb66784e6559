// Package schemas is the vocabulary of Strait: what a change of a row is, what
// a table looks like, where in a log something happened. It imports nothing of
// ours, and no driver type is part of it: readers convert to these types at the
// edge, once, and sinks convert from them, once.
package schemas
