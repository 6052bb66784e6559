package registry

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// ask makes a request as a Java client does.
func ask(t *testing.T, srv *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/vnd.schemaregistry.v1+json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return resp.StatusCode, string(raw)
}

func candidateBody(schema string) string {
	b, _ := json.Marshal(map[string]string{"schema": schema})
	return string(b)
}

func TestHandler(t *testing.T) {
	b := open(t, &memLog{})
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	idA := strconv.Itoa(int(register(t, b, "t-value", schemaA)))
	textA := strings.ReplaceAll(strconv.Quote(schemaA), "\\\\", "\\")
	shownA := `{"subject":"t-value","version":1,"id":` + idA + `,"schema":` + textA + `}`
	bodyB, bodyC := candidateBody(schemaB), candidateBody(schemaC)
	idText, err := canonical(schemaB)
	if err != nil {
		t.Fatal(err)
	}
	idB := strconv.Itoa(int(contentID(idText)))
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		// what clients that were seen ask
		{"GET", "/schemas/ids/" + idA, "", 200, `{"schema":` + textA + `}`},
		{"GET", "/schemas/ids/" + idA + "?fetchMaxId=false&subject=", "", 200, `{"schema":` + textA + `}`},
		{"GET", "/schemas/ids/" + idA + "?fetchMaxId=false&subject=renamed-value", "", 200, `{"schema":` + textA + `}`},
		{"POST", "/subjects/t-value?normalize=false&deleted=true", candidateBody(schemaA2), 200, shownA},
		{"GET", "/associations/resources/-/t?resourceType=topic&associationType=key", "", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"POST", "/subjects/t-value/versions?normalize=false", bodyB, 200, `{"id":` + idB + `}`},
		{"POST", "/subjects/t-value/versions?normalize=false", bodyB, 200, `{"id":` + idB + `}`},
		// the rest
		{"GET", "/", "", 200, `{}`},
		{"GET", "/subjects", "", 200, `["t-value"]`},
		{"GET", "/subjects/t-value/versions", "", 200, `[1,2]`},
		{"GET", "/subjects/t-value/versions/1", "", 200, shownA},
		{"GET", "/subjects/t-value/versions/1/schema", "", 200, schemaA},
		{"GET", "/subjects/t-value/versions/-1/schema", "", 200, schemaB},
		{"GET", "/subjects/t-value/versions/latest/schema", "", 200, schemaB},
		{"GET", "/subjects/t-value/versions/9", "", 404, `{"error_code":40402,"message":"Version 9 not found."}`},
		{"GET", "/subjects/none/versions", "", 404, `{"error_code":40401,"message":"Subject 'none' not found."}`},
		{"GET", "/schemas/ids/" + idA + "/schema", "", 200, schemaA},
		{"GET", "/schemas/ids/" + idA + "/versions", "", 200, `[{"subject":"t-value","version":1}]`},
		{"GET", "/schemas/ids/" + idA + "/subjects", "", 200, `["t-value"]`},
		{"GET", "/schemas/ids/4", "", 404, `{"error_code":40403,"message":"Schema 4 not found"}`},
		{"GET", "/schemas/types", "", 200, `["AVRO"]`},
		{"GET", "/config", "", 200, `{"compatibilityLevel":"BACKWARD"}`},
		{"GET", "/config/t-value?defaultToGlobal=true", "", 200, `{"compatibilityLevel":"BACKWARD"}`},
		{"GET", "/mode", "", 200, `{"mode":"READWRITE"}`},
		{"POST", "/subjects/t-value", bodyC, 404, `{"error_code":40403,"message":"Schema not found"}`},
		{"POST", "/subjects/none", bodyC, 404, `{"error_code":40401,"message":"Subject 'none' not found."}`},
		{"POST", "/compatibility/subjects/t-value/versions/latest", bodyC, 200, `{"is_compatible":false}`},
		{"POST", "/compatibility/subjects/t-value/versions", bodyB, 200, `{"is_compatible":true}`},
		{"PUT", "/config/t-value", `{"compatibility":"NONE"}`, 200, `{"compatibility":"NONE"}`},
		{"GET", "/config/t-value", "", 200, `{"compatibilityLevel":"NONE"}`},
		{"POST", "/compatibility/subjects/t-value/versions/latest", bodyC, 200, `{"is_compatible":true}`},
		{"DELETE", "/config/t-value", "", 200, `{"compatibilityLevel":"NONE"}`},
		{"PUT", "/config", `{"compatibility":"SOMETIMES"}`, 422, ""},
		{"POST", "/subjects/t-value/versions", "not json", 400, ""},
		{"POST", "/subjects/t-value/versions", candidateBody("nonsense"), 422, ""},
		{"POST", "/subjects/t-value/versions", `{"schema":"x","schemaType":"PROTOBUF"}`, 422, ""},
		{"DELETE", "/subjects/t-value/versions/1", "", 200, `1`},
		{"GET", "/subjects/t-value/versions", "", 200, `[2]`},
		{"GET", "/subjects/t-value/versions?deleted=true", "", 200, `[1,2]`},
		{"DELETE", "/subjects/t-value", "", 200, `[2]`},
		{"GET", "/subjects", "", 200, `[]`},
		{"GET", "/schemas/ids/" + idA, "", 200, `{"schema":` + textA + `}`},
		{"POST", "/subjects/" + url.PathEscape("a/b") + "/versions", candidateBody(`"int"`), 200, ""},
		{"GET", "/subjects", "", 200, `["a/b"]`},
	} {
		status, got := ask(t, srv, c.method, c.path, c.body)
		if status != c.status || c.want != "" && got != c.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, status, got, c.status, c.want)
		}
	}
}

// TestCompatibility: others are held to it, we are not.
func TestCompatibility(t *testing.T) {
	b := open(t, &memLog{})
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	register(t, b, "t-value", schemaA)
	status, got := ask(t, srv, "POST", "/subjects/t-value/versions", candidateBody(schemaC))
	if status != 409 || !strings.Contains(got, `"error_code":409`) || !strings.Contains(got, "other") {
		t.Errorf("%d %s", status, got)
	}
	register(t, b, "t-value", schemaC)
}

func TestLargeBody(t *testing.T) {
	srv := httptest.NewServer(open(t, &memLog{}).Handler())
	defer srv.Close()
	if status, got := ask(t, srv, "POST", "/subjects/t/versions", `"`+strings.Repeat("x", maxBody+1)+`"`); status != 413 {
		t.Errorf("%d %s", status, got)
	}
}
