package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// commitsFetch is how many bytes of commit records are read at once.
const commitsFetch = 1 << 20

// readCommits reads the commits that are visible from an offset on, waiting for
// the first one as long as maxWait. next is where to read on, behind aborted
// ones and markers too.
func (c *client) readCommits(ctx context.Context, system string, offset int64, maxWait time.Duration) (out []*schemas.Commit, next int64, err error) {
	p := tp{schemas.CommitsTopic(system), 0}
	next = offset
	err = c.retry(ctx, "read "+p.topic, func() error {
		parts, err := c.fetch(ctx, []want{{p, offset, commitsFetch}}, fetchLimits{readCommitted, maxWait, commitsFetch})
		if err != nil || len(parts) == 0 {
			return err
		}
		out = out[:0]
		next, err = parts[0].eachCommitted(func(s *stored) error {
			commit := &schemas.Commit{}
			if err := json.Unmarshal(s.value, commit); err != nil {
				return fmt.Errorf("offset %d holds no commit: %w", s.offset, err)
			}
			commit.Offset = s.offset
			out = append(out, commit)
			return nil
		})
		if err != nil {
			return permanent{err}
		}
		return nil
	})
	return out, next, err
}

// lastCommit is the last commit that is visible, and the offset where what is
// decided ends. It reads backwards in growing steps: what lies at the end may be
// markers and aborted commits.
func (c *client) lastCommit(ctx context.Context, system string) (last schemas.Commit, ok bool, end int64, err error) {
	p := tp{schemas.CommitsTopic(system), 0}
	ends, err := c.offsets(ctx, []tp{p}, latest, readCommitted)
	if err != nil {
		return last, false, 0, err
	}
	starts, err := c.offsets(ctx, []tp{p}, earliest, readCommitted)
	if err != nil {
		return last, false, 0, err
	}
	start, end := starts[p], ends[p]
	for step := int64(32); ; step *= 8 {
		from := max(start, end-step)
		for at := from; at < end; {
			commits, next, err := c.readCommits(ctx, system, at, 0)
			if err != nil {
				return last, false, 0, err
			}
			if n := len(commits); n > 0 {
				last, ok = *commits[n-1], true
			}
			if next == at {
				break
			}
			at = next
		}
		if ok || from == start {
			return last, ok, end, nil
		}
	}
}
