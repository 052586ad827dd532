package broker

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// errorResponse answers req with err wherever its response can carry it. Requests and responses name the same things by
// the same field names (Topics, Partitions, Topic, Partition, Name...), so one function serves all keys: it is for the
// rare whole failure, not for the hot path.
func errorResponse(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind()
	fillError(reflect.ValueOf(resp).Elem(), reflect.ValueOf(req).Elem(), err)
	return resp
}

// unsupportedResponse is an UNSUPPORTED_VERSION in the version nearest to the one asked that has a known form; nil if
// the key has none. Where the request can't be read, and the response has its errors in its elements only, it gets one
// element for nothing in particular.
func unsupportedResponse(key, version int16, body []byte) (kmsg.Response, int16) {
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil, 0
	}
	form := min(max(version, 0), req.MaxVersion())
	if form == version {
		if decoded, err := kafkaproto.DecodeRequest(key, version, body); err == nil {
			req = decoded
		}
	}
	req.SetVersion(form)
	resp := req.ResponseKind()
	target := reflect.ValueOf(resp).Elem()
	if !fillError(target, reflect.ValueOf(req).Elem(), kafkaproto.ErrUnsupportedVersion) {
		addErrorElement(target)
	}
	return resp, form
}

// fillError sets error fields of resp, and makes an element for each element of req under the same field name. It tells
// whether any error field was set.
func fillError(resp, req reflect.Value, err error) bool {
	found := setError(resp, err)
	for i := range resp.NumField() {
		name := resp.Type().Field(i).Name
		from := req.FieldByName(name)
		if name == "UnknownTags" || !from.IsValid() {
			continue
		}
		to := resp.Field(i)
		switch {
		case to.Kind() != reflect.Slice || from.Kind() != reflect.Slice:
			switch {
			case name == "Version":
			case to.Type() == from.Type():
				to.Set(from)
			case to.Type() == reflect.PointerTo(from.Type()): // a name that is null in other answers
				p := reflect.New(from.Type())
				p.Elem().Set(from)
				to.Set(p)
			}
		case to.Type().Elem().Kind() == reflect.Struct:
			found = fillElements(to, from, err) || found
		}
	}
	return found
}

func fillElements(to, from reflect.Value, err error) bool {
	found := false
	to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
	for i := range from.Len() {
		element := to.Index(i)
		setDefault(element)
		if from.Index(i).Kind() == reflect.Struct {
			found = fillError(element, from.Index(i), err) || found
			continue
		}
		// A list of bare names or numbers became a list of answers: the value goes to the first field of its type.
		for j := range element.NumField() {
			if element.Field(j).Type() == from.Index(i).Type() {
				element.Field(j).Set(from.Index(i))
				break
			}
		}
		found = setError(element, err) || found
	}
	return found
}

func setError(v reflect.Value, err error) bool {
	code := v.FieldByName("ErrorCode")
	if !code.IsValid() || code.Kind() != reflect.Int16 {
		return false
	}
	code.SetInt(int64(kafkaproto.Code(err)))
	if message := v.FieldByName("ErrorMessage"); message.IsValid() {
		if text := kafkaproto.Message(err); text != nil && message.Type() == reflect.TypeOf(text) {
			message.Set(reflect.ValueOf(text))
		}
	}
	return true
}

func setDefault(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

// addErrorElement puts one element into the first list, and the first list of that, until one can carry an error.
func addErrorElement(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		setDefault(f.Index(0))
		if !setError(f.Index(0), kafkaproto.ErrUnsupportedVersion) {
			addErrorElement(f.Index(0))
		}
		return
	}
}
