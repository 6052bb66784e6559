package apply

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
)

// attempts is how often a transaction that the server gave up is tried; between
// them lies a random pause that doubles from firstPause.
const (
	attempts   = 6
	firstPause = 15 * time.Millisecond
)

// Run applies a batch in one transaction, again where the server gave it up.
func Run(ctx context.Context, s Session, epoch, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	if err := distinct(intents); err != nil {
		return nil, err
	}
	pause := firstPause
	for n := 1; ; n++ {
		answers, err := once(ctx, s, epoch, batch, intents)
		var retry *Retry
		if err == nil || !errors.As(err, &retry) {
			return answers, err
		}
		if rerr := s.Rollback(ctx); rerr != nil {
			return nil, fmt.Errorf("%w (and the rollback: %w)", err, rerr)
		}
		if n == attempts {
			return nil, fmt.Errorf("%w (%d attempts; somebody holds the locks of these rows for long)", err, n)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause *= 2
	}
}

func distinct(intents []schemas.Intent) error {
	seen := make(map[string]bool, len(intents))
	for _, in := range intents {
		if seen[in.ID] {
			return fmt.Errorf("intent %q is in the batch twice", in.ID)
		}
		seen[in.ID] = true
	}
	return nil
}

func once(ctx context.Context, s Session, epoch, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	if err := s.Begin(ctx); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	ok, err := s.Mark(ctx, epoch, batch)
	if err != nil {
		return nil, fmt.Errorf("mark: %w", err)
	}
	if !ok {
		return replay(ctx, s, epoch, batch, intents)
	}
	e := engine{s: s, batch: batch, intents: intents, answers: make([]schemas.Answer, len(intents))}
	if err := e.all(ctx); err != nil {
		return nil, err
	}
	text, err := formatAnswers(e.answers)
	if err != nil {
		return nil, err
	}
	if text != "" {
		if err := s.SaveAnswers(ctx, text); err != nil {
			return nil, fmt.Errorf("answers: %w", err)
		}
	}
	if err := s.Commit(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return e.answers, nil
}

// replay says why the progress row is not where the batch expects it, and gives
// the answers if the batch is the one that was applied last.
func replay(ctx context.Context, s Session, epoch, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, fmt.Errorf("progress: %w", err)
	}
	var answers []schemas.Answer
	if err = check(st, epoch, batch); err == nil {
		answers, err = recall(ctx, s, st, intents)
	}
	if rerr := s.Rollback(ctx); rerr != nil && err == nil {
		err = fmt.Errorf("rollback: %w", rerr)
	}
	return answers, err
}

func check(st State, epoch, batch int64) error {
	const advice = "the state store and the database belong to different installations, or one of them was restored from a backup; rebuild the state store from this database"
	switch {
	case !st.Found:
		return fmt.Errorf("batch %d: the lane's row of strait.progress is gone: %s", batch, advice)
	case st.Epoch > epoch:
		return fmt.Errorf("%w (epoch %d, ours is %d)", sinks.ErrFenced, st.Epoch, epoch)
	case st.Epoch < epoch:
		return fmt.Errorf("batch %d: strait.progress has epoch %d, ours is %d: %s", batch, st.Epoch, epoch, advice)
	case st.Batch != batch:
		return fmt.Errorf("batch %d: the last one in strait.progress is %d: %s", batch, st.Batch, advice)
	}
	return nil
}

func recall(ctx context.Context, s Session, st State, intents []schemas.Intent) ([]schemas.Answer, error) {
	answers, err := parseAnswers(st.Answers, intents)
	if err != nil {
		return nil, err
	}
	byEntity := map[string][]string{}
	for i, in := range intents {
		for _, w := range in.Writes {
			if answers[i].Outcome == schemas.Applied && w.Kind == schemas.WriteInsert && w.Link != nil {
				byEntity[w.Link.Entity] = append(byEntity[w.Link.Entity], w.Link.Hub)
			}
		}
	}
	keys := map[schemas.Link]string{}
	for entity, hubs := range byEntity {
		rows, err := s.ReadLinks(ctx, entity, nil, hubs)
		if err != nil {
			return nil, fmt.Errorf("links: %w", err)
		}
		for _, r := range rows {
			keys[schemas.Link{Entity: entity, Hub: r.Hub}] = r.NativeKey
		}
	}
	for i, in := range intents {
		if answers[i].Outcome != schemas.Applied {
			continue
		}
		for _, w := range in.Writes {
			if w.Kind != schemas.WriteInsert || w.Link == nil {
				continue
			}
			key, ok := keys[schemas.Link{Entity: w.Link.Entity, Hub: w.Link.Hub}]
			if !ok {
				return nil, fmt.Errorf("batch %d was applied, but strait.link has no row for %s %s: rows of that table were deleted; run a verify", st.Batch, w.Link.Entity, w.Link.Hub)
			}
			putKey(&answers[i], w.Link.Hub, key)
		}
	}
	return answers, nil
}

func putKey(a *schemas.Answer, hub, key string) {
	if a.Keys == nil {
		a.Keys = map[string]string{}
	}
	a.Keys[hub] = key
}
