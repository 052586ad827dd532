package doctor

import (
	"fmt"
	"strings"
	"time"
)

// answerFindings judges what answered on a connection; for a broker that includes its versions, not yet its cluster.
func answerFindings(e *Endpoint, now time.Time) []Finding {
	a := e.Answer
	var list []Finding
	if a.TLS != nil {
		list = append(list, tlsFindings(a, now)...)
		if a.Kind != Broker && a.TLS.Err != "" {
			return list
		}
	}
	if a.Kind != Broker {
		return append(list, strangerFinding(e))
	}
	list = append(list, versionFindings(a)...)
	if a.SASL != nil {
		return append(list, saslFinding(a))
	}
	if a.View == nil && a.Failure != "" {
		list = append(list, Finding{
			Severity: Problem, What: "it answers ApiVersions, but not Metadata: " + a.Failure,
			Why: "without metadata no client learns where topics are",
			Do:  "see the broker's log for this connection: authentication it wants in a way not seen here, limits (max.connections), or a proxy that lets only some requests through",
		})
	}
	return list
}

func strangerFinding(e *Endpoint) Finding {
	f := Finding{Severity: Problem, Why: "a Kafka client needs a Kafka broker's client listener"}
	switch e.Answer.Kind {
	case HTTP:
		f.What = fmt.Sprintf("port %d is an HTTP server's, not a Kafka broker's", e.Port)
		f.Do = "use the broker's client port (9092 unless it was changed), not that of a console, REST proxy, schema registry or health check"
	case Closes:
		f.What = "the connection is accepted, then closed without an answer"
		f.Do = "a port published by a container or a load balancer accepts even if nobody listens behind it: check that the broker " +
			"runs and listens on 0.0.0.0 inside of its container; else the port is another service's or one between brokers, or the broker turns this address away (max.connections.per.ip): see its log"
	case Silent:
		f.What = "the connection is accepted, but no request is answered"
		f.Do = "the port is another service's, or the broker is stuck: see its log, and whether it is up to starting"
	default:
		f.What = fmt.Sprintf("what answers is not Kafka: it says %q", e.Answer.First)
		f.Do = "use the port of the broker's client listener, 9092 unless it was changed"
	}
	return f
}

func tlsFindings(a *Answer, now time.Time) []Finding {
	t := a.TLS
	list := []Finding{{
		Severity: Problem, What: "this listener speaks TLS",
		Why: "a client that is not set up for TLS (as this command is not) gets closed connections or waits forever; one that is has no problem",
		Do:  "set security.protocol=SSL (SASL_SSL if it wants a login too), and the authority's certificate as truststore; or use a listener without TLS",
	}}
	if t.Err != "" {
		f := Finding{Severity: Problem, What: "the TLS handshake fails: " + t.Err, Why: "what is behind it can't be looked at",
			Do: "see which TLS versions and ciphers the listener allows (ssl.enabled.protocols)"}
		if t.Asked {
			f.What = "it wants a certificate of the client: " + t.Err
			f.Do = "give the client a keystore with a certificate that the broker trusts (ssl.client.auth=required asks for it)"
		}
		return append(list, f)
	}
	return append(list, certificateFindings(t, now)...)
}

func certificateFindings(t *TLS, now time.Time) []Finding {
	var list []Finding
	if !t.NotAfter.IsZero() && now.After(t.NotAfter) {
		list = append(list, Finding{Severity: Problem, What: "its certificate expired at " + t.NotAfter.UTC().Format(time.RFC3339),
			Why: "every client that verifies it refuses", Do: "renew the certificate; if the date is wrong, check this machine's clock"})
	}
	if t.NameErr != "" {
		list = append(list, Finding{Severity: Problem, What: fmt.Sprintf("its certificate is for %s: %s", strings.Join(t.Names, ", "), t.NameErr),
			Why: "clients compare the name they connect to with the certificate's",
			Do:  "add the name to the certificate's subject alternative names, or connect by a name it has"})
	}
	if t.TrustErr != "" {
		list = append(list, Finding{Severity: Warning, What: "this machine does not trust its certificate: " + t.TrustErr,
			Why: "a client without a truststore of its own refuses it", Do: "give the client the certificate of the authority that signed it (ssl.truststore.location)"})
	}
	if len(list) == 0 && !t.NotAfter.IsZero() {
		list = append(list, Finding{Severity: OK, What: "its certificate is good until " + t.NotAfter.UTC().Format(time.RFC3339)})
	}
	return list
}

func saslFinding(a *Answer) Finding {
	protocol := "SASL_PLAINTEXT"
	if a.TLS != nil {
		protocol = "SASL_SSL"
	}
	return Finding{
		Severity: Problem, What: "it wants a login (SASL) before anything else; mechanisms: " + strings.Join(a.SASL.Mechanisms, ", "),
		Why: "a client without credentials is disconnected at its first request; this command has none, so the rest could not be looked at",
		Do:  fmt.Sprintf("set security.protocol=%s, sasl.mechanism to one of these and sasl.jaas.config; or use a listener without a login", protocol),
	}
}
