package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/kafkaproto"
)

// RequestOptions say what to send.
type RequestOptions struct {
	API     string // its name, in whatever case, or its key
	Version *int16 // nil: the newest that both sides know
	Broker  *int32 // nil: the one a client would choose
	Body    []byte // JSON; empty: a request of defaults
}

// Answer is what came back. As JSON and YAML it is the response alone.
type Answer struct {
	Name     string
	Key      int16
	Version  int16
	Broker   int32 // -1: whichever answers at Address
	Address  string
	Why      string // that broker
	Took     time.Duration
	Warnings []string // what the request says and its version can't

	json json.RawMessage
}

// MarshalJSON gives the response.
func (a *Answer) MarshalJSON() ([]byte, error) { return a.json, nil }

// Summary says in a line what was sent where.
func (a *Answer) Summary() string {
	broker := a.Address
	if a.Broker != anyBroker {
		broker = fmt.Sprintf("broker %d at %s", a.Broker, a.Address)
	}
	return fmt.Sprintf("%s (%d) version %d to %s, %s: answered in %.1f ms", a.Name, a.Key, a.Version, broker, a.Why,
		float64(a.Took.Microseconds())/1000)
}

// WriteTable prints a value a line, with the names of error codes.
func (a *Answer) WriteTable(w io.Writer) error {
	t := cli.NewTableWriter(w, "FIELD", "VALUE", "")
	dec := json.NewDecoder(strings.NewReader(string(a.json)))
	dec.UseNumber()
	if err := flatten(dec, "", func(path string, value any) {
		note := ""
		if n, ok := value.(json.Number); ok && strings.HasSuffix(strings.ToLower(path), "errorcode") {
			if code, err := strconv.ParseInt(n.String(), 10, 16); err == nil {
				note = errorName(int16(code))
			}
		}
		t.Row(path, value, note)
	}); err != nil {
		return err
	}
	return t.Flush()
}

func errorName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	return kafkaproto.ErrorForCode(code).Name
}

// flatten walks JSON in its order.
func flatten(dec *json.Decoder, path string, leaf func(string, any)) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	d, ok := token.(json.Delim)
	if !ok {
		if token == nil {
			token = "null"
		}
		leaf(path, token)
		return nil
	}
	if !dec.More() {
		leaf(path, map[json.Delim]string{'{': "{}", '[': "[]"}[d])
	}
	for i := 0; dec.More(); i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		if d == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			at = strings.TrimPrefix(fmt.Sprintf("%s.%s", path, name), ".")
		}
		if err := flatten(dec, at, leaf); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// Find is an empty request of the API with this name or key.
func Find(api string) (kmsg.Request, error) {
	if key, err := strconv.ParseInt(api, 10, 16); err == nil {
		if req := kmsg.RequestForKey(int16(key)); req != nil {
			return req, nil
		}
		return nil, &cli.UsageError{Err: fmt.Errorf("there is no API with key %d", key)}
	}
	want := strings.TrimSuffix(strings.ToLower(api), "request")
	for key := range int16(kmsg.MaxKey + 1) {
		if req := kmsg.RequestForKey(key); req != nil && strings.EqualFold(kmsg.NameForKey(key), want) {
			return req, nil
		}
	}
	return nil, &cli.UsageError{Err: fmt.Errorf("there is no API %q (streambus debug request --list shows them)", api)}
}

// Names are those of all APIs, in the order of their keys.
func Names() []string {
	var names []string
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.RequestForKey(key) != nil {
			names = append(names, kmsg.NameForKey(key))
		}
	}
	return names
}

// Request sends one request and waits for its answer until t's timeout.
func Request(ctx context.Context, t cli.Target, o RequestOptions) (*Answer, error) {
	req, err := Find(o.API)
	if err != nil {
		return nil, err
	}
	set, err := decode(o.Body, req)
	if err != nil {
		return nil, err
	}
	if o.Version != nil && (*o.Version < 0 || *o.Version > req.MaxVersion()) {
		return nil, &cli.UsageError{Err: fmt.Errorf("%s has versions 0-%d here", kmsg.NameForKey(req.Key()), req.MaxVersion())}
	}
	to, err := route(ctx, t, req, o.Broker)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, t, to.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	version, err := c.choose(req, o.Version)
	if err != nil {
		return nil, err
	}
	req.SetVersion(version)
	a := &Answer{Name: kmsg.NameForKey(req.Key()), Key: req.Key(), Version: version, Broker: to.broker, Address: to.address, Why: to.why}
	a.Warnings = lost(req, set)
	if err := c.exchange(ctx, req, a); err != nil {
		return nil, c.explain(a, err)
	}
	return a, nil
}

// choose takes the version asked for as it is: also one that the broker doesn't have, to see what it says.
func (c *conn) choose(req kmsg.Request, asked *int16) (int16, error) {
	if asked != nil {
		return *asked, nil
	}
	served, ok := c.versions[req.Key()]
	if !ok {
		return 0, fmt.Errorf("the broker does not serve %s; --api-version N sends it all the same", kmsg.NameForKey(req.Key()))
	}
	if served.MinVersion > req.MaxVersion() {
		return 0, fmt.Errorf("%s: the broker serves versions %d-%d, known here are 0-%d", kmsg.NameForKey(req.Key()), served.MinVersion, served.MaxVersion, req.MaxVersion())
	}
	return min(served.MaxVersion, req.MaxVersion()), nil
}

// lost names the fields that were set and that the version leaves out.
func lost(req kmsg.Request, set map[string]bool) []string {
	var list []string
	for _, f := range fieldsOf(kmsg.RequestForKey(req.Key())) {
		if set[f.Path] && !f.in(req.GetVersion()) {
			list = append(list, fmt.Sprintf("%s is not sent: it is in versions %s of %s, not in %d",
				f.Path, f.Versions(req.MaxVersion()), kmsg.NameForKey(req.Key()), req.GetVersion()))
		}
	}
	return list
}

func (c *conn) exchange(ctx context.Context, req kmsg.Request, a *Answer) error {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	start := time.Now()
	if err := c.send(req); err != nil {
		return err
	}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		a.json, a.Warnings = json.RawMessage("null"), append(a.Warnings, "acks is 0: there is no answer")
		return nil
	}
	body, err := c.receive()
	a.Took = time.Since(start)
	if err != nil {
		return err
	}
	resp := req.ResponseKind()
	if err := decodeAnswer(req, resp, body); err != nil {
		return err
	}
	a.json = encode(resp, fieldsOf(kmsg.RequestForKey(req.Key()).ResponseKind()))
	return nil
}

// explain adds the likeliest reason for a connection that was closed or that stays silent.
func (c *conn) explain(a *Answer, err error) error {
	served, ok := c.versions[a.Key]
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = context.DeadlineExceeded
	case errors.Is(err, net.ErrClosed), !errors.Is(err, errClosed):
	case !ok:
		err = fmt.Errorf("%w (it does not list this API)", err)
	case a.Version < served.MinVersion || a.Version > served.MaxVersion:
		err = fmt.Errorf("%w (it serves versions %d-%d)", err, served.MinVersion, served.MaxVersion)
	}
	return fmt.Errorf("%s version %d to %s: %w", a.Name, a.Version, a.Address, err)
}
