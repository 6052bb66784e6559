package apply

import (
	"encoding/json"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// saved is an answer in the progress row. Only what was not applied is kept;
// generated keys are in strait.link.
type saved struct {
	ID      string `json:"i"`
	Refused bool   `json:"r,omitempty"`
	Write   int    `json:"w,omitempty"`
	Reason  string `json:"t,omitempty"`
}

// maxReason bounds the text of a reason, in bytes, so that a batch of refusals
// fits into the row.
const maxReason = 2000

func formatAnswers(answers []schemas.Answer) (string, error) {
	var list []saved
	for _, a := range answers {
		if a.Outcome != schemas.Applied {
			list = append(list, saved{a.ID, a.Outcome == schemas.Refused, a.Write, a.Reason})
		}
	}
	if list == nil {
		return "", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// parseAnswers gives each intent the answer of the row, Applied where it has
// none.
func parseAnswers(text string, intents []schemas.Intent) ([]schemas.Answer, error) {
	var list []saved
	if text != "" {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, fmt.Errorf("answers in strait.progress: %w", err)
		}
	}
	byID := make(map[string]saved, len(list))
	for _, s := range list {
		byID[s.ID] = s
	}
	out := make([]schemas.Answer, len(intents))
	for i, in := range intents {
		out[i] = schemas.Answer{ID: in.ID, Outcome: schemas.Applied}
		s, ok := byID[in.ID]
		if !ok {
			continue
		}
		delete(byID, in.ID)
		out[i].Outcome, out[i].Write, out[i].Reason = schemas.Missed, s.Write, s.Reason
		if s.Refused {
			out[i].Outcome = schemas.Refused
		}
	}
	for id := range byID {
		return nil, fmt.Errorf("the applied batch had an intent %q that the batch sent again has not: the state store is not the one that sent it; run a verify before going on", id)
	}
	return out, nil
}

func clip(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for n > 0 && reason[n]&0xC0 == 0x80 {
		n--
	}
	return reason[:n] + "…"
}
