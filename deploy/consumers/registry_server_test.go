//go:build !noservers

package consumers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// javaAccept is what Java's HTTP client accepts unless it is told something else.
const javaAccept = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"

// asJava makes a call as Confluent's Java client does and reads the answer.
func asJava(t *testing.T, method, url string, body any) (status int, answer map[string]any) {
	t.Helper()
	var send bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&send).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, &send)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", javaAccept)
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %d: %v in %s", method, url, resp.StatusCode, err, text)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.Contains(kind, "json") {
		t.Errorf("%s %s: content type %s", method, url, kind)
	}
	return resp.StatusCode, answer
}

// schemaIDs is the ids in the framing of a topic's keys and values.
func schemaIDs(t *testing.T, c *cluster, topic string) (keys, values map[uint32]bool) {
	t.Helper()
	keys, values = map[uint32]bool{}, map[uint32]bool{}
	for _, r := range readWithUs(t, c.Config, topic) {
		keys[binary.BigEndian.Uint32([]byte(r.key[1:5]))] = true
		if !r.tombstone {
			values[binary.BigEndian.Uint32([]byte(r.value[1:5]))] = true
		}
	}
	return keys, values
}

// checkJavaCalls makes the calls of Java's converter and of Flink for each schema
// that the records of a topic name.
func checkJavaCalls(t *testing.T, c *cluster, topic string) {
	t.Helper()
	keys, values := schemaIDs(t, c, topic)
	if len(keys) != 1 || len(values) != 1 {
		t.Errorf("%s: %d schemas of keys and %d of values for one shape of the table", topic, len(keys), len(values))
	}
	for id := range keys {
		checkSchema(t, c, topic+"-key", id)
	}
	for id := range values {
		checkSchema(t, c, topic+"-value", id)
	}
	if status, answer := asJava(t, "POST", c.url+"/subjects/"+topic+"-value?normalize=false&deleted=true", map[string]string{"schema": `"long"`}); status != 404 || answer["error_code"] != 40403.0 {
		t.Errorf("looking up a schema that is not there: %d %v", status, answer)
	}
}

func checkSchema(t *testing.T, c *cluster, subject string, id uint32) {
	t.Helper()
	byID := c.url + "/schemas/ids/" + strconv.FormatUint(uint64(id), 10) + "?fetchMaxId=false&subject="
	var text string
	for _, s := range []string{"", subject, "renamed-value"} {
		status, answer := asJava(t, "GET", byID+s, nil)
		got, _ := answer["schema"].(string)
		if status != http.StatusOK || got == "" || text != "" && got != text {
			t.Fatalf("GET %s%s: %d %v", byID, s, status, answer)
		}
		text = got
	}
	for form, schema := range map[string]string{"as served": text, "with other spacing and order": reordered(t, text)} {
		status, answer := asJava(t, "POST", c.url+"/subjects/"+subject+"?normalize=false&deleted=true", map[string]string{"schema": schema})
		if status != http.StatusOK || answer["id"] != float64(id) || answer["subject"] != subject || answer["version"] != 1.0 {
			t.Errorf("looking up %s in %s %s: %d %v", schema, subject, form, status, answer)
		}
	}
}

// reordered is a schema with the attributes of each object in another order, as
// another library may print them.
func reordered(t *testing.T, schema string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(schema), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if string(out) == schema {
		t.Fatalf("nothing to reorder in %s", schema)
	}
	return string(out)
}

// checkCalls looks at what Python's client asked of the registry: it got all schemas
// from it, and nothing was refused but what a registry without associations does
// not have.
func checkCalls(t *testing.T, c *cluster) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	schemas := 0
	for call := range c.calls {
		switch {
		case strings.HasPrefix(call, "200 GET /schemas/ids/"):
			schemas++
		case strings.HasPrefix(call, "404 GET /associations/"):
		default:
			t.Errorf("registry: unexpected call %s", call)
		}
	}
	if schemas == 0 {
		t.Error("nobody asked the registry for a schema")
	}
}
