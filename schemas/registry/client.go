package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	contentType = "application/vnd.schemaregistry.v1+json"
	// maxBody bounds a schema in either direction.
	maxBody = 16 << 20
)

// ClientOptions change how a Client works. The zero options are usable.
type ClientOptions struct {
	// HTTP is the client to use; nil is one with a timeout of 10 seconds.
	HTTP *http.Client
	// Tries is how often a call is made when the registry does not answer or
	// answers 429 or 5xx; 0 is 5.
	Tries int
	// Pause is the wait before the second try, doubled each time; 0 is 200 ms.
	Pause time.Duration
}

// Client speaks to an external Confluent schema registry and remembers what it
// was told: an id never changes its meaning.
type Client struct {
	base           *url.URL
	user, password string
	opts           ClientOptions

	// mu guards the maps.
	mu      sync.RWMutex
	schemas map[int32]string
	ids     map[subjectSchema]int32
}

type subjectSchema struct{ subject, schema string }

// NewClient makes a Client of the registry at a URL, which may carry user and
// password for basic authentication. They never appear in an error.
func NewClient(rawURL string, opts ClientOptions) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("schema registry: the URL cannot be parsed; want http://host:8081 or https://user:password@host")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("schema registry %s: want http://host:8081 or https://user:password@host", u.Redacted())
	}
	c := &Client{opts: opts, schemas: map[int32]string{}, ids: map[subjectSchema]int32{}}
	if u.User != nil {
		c.user = u.User.Username()
		c.password, _ = u.User.Password()
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimSuffix(u.Path, "/")
	c.base = u
	if c.opts.HTTP == nil {
		c.opts.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if c.opts.Tries == 0 {
		c.opts.Tries = 5
	}
	if c.opts.Pause == 0 {
		c.opts.Pause = 200 * time.Millisecond
	}
	return c, nil
}

// Error is an answer of a registry that refuses.
type Error struct {
	// Status is HTTP's, Code and Message the registry's own.
	Status  int    `json:"-"`
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Error shows the answer.
func (e *Error) Error() string { return fmt.Sprintf("answer %d (%d): %s", e.Status, e.Code, e.Message) }

// Register implements Registry. A registry that guards compatibility refuses a
// table whose column was dropped or retyped; the error says how to let it pass.
func (c *Client) Register(ctx context.Context, subject, schema string) (int32, error) {
	at := subjectSchema{subject, schema}
	c.mu.RLock()
	id, ok := c.ids[at]
	c.mu.RUnlock()
	if ok {
		return id, nil
	}
	var answer struct {
		ID int32 `json:"id"`
	}
	body := map[string]string{"schema": schema}
	path := "/subjects/" + url.PathEscape(subject) + "/versions"
	if err := c.call(ctx, http.MethodPost, path, body, &answer); err != nil {
		var refused *Error
		if errors.As(err, &refused) && refused.Status == http.StatusConflict {
			return 0, fmt.Errorf("schema registry: %w; the table has changed in a way the subject's compatibility forbids: allow it with PUT %s/config/%s {\"compatibility\":\"NONE\"}",
				err, c.base, url.PathEscape(subject))
		}
		return 0, fmt.Errorf("schema registry: %w", err)
	}
	if answer.ID <= 0 {
		return 0, fmt.Errorf("schema registry: POST %s: the answer has no id", path)
	}
	c.mu.Lock()
	c.ids[at] = answer.ID
	c.schemas[answer.ID] = schema
	c.mu.Unlock()
	return answer.ID, nil
}

// Schema implements Registry.
func (c *Client) Schema(ctx context.Context, id int32) (string, error) {
	c.mu.RLock()
	text, ok := c.schemas[id]
	c.mu.RUnlock()
	if ok {
		return text, nil
	}
	var answer struct {
		Schema string `json:"schema"`
	}
	err := c.call(ctx, http.MethodGet, "/schemas/ids/"+strconv.Itoa(int(id)), nil, &answer)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return "", fmt.Errorf("schema registry: id %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("schema registry: %w", err)
	}
	c.mu.Lock()
	c.schemas[id] = answer.Schema
	c.mu.Unlock()
	return answer.Schema, nil
}

// call makes a request, again where that may help.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	pause := c.opts.Pause
	for try := 1; ; try++ {
		again, err := c.once(ctx, method, path, raw, answer)
		if err == nil || !again || try >= c.opts.Tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (c *Client) once(ctx context.Context, method, path string, body []byte, answer any) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", contentType+", application/json")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.user != "" || c.password != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return true, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(raw, answer); err != nil {
			return false, fmt.Errorf("%s %s: the answer is not JSON: %w", method, path, err)
		}
		return false, nil
	}
	refused := &Error{Status: resp.StatusCode}
	if json.Unmarshal(raw, refused) != nil || refused.Message == "" {
		refused.Message = http.StatusText(resp.StatusCode)
	}
	again = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
	return again, fmt.Errorf("%s %s: %w", method, path, refused)
}
