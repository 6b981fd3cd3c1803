package admin

import (
	"net/http"
	"slices"
	"strings"
)

// allowed are the methods that some path of these ports answers.
const allowed = "GET, HEAD, POST, OPTIONS"

// methods answers what no path is asked for, as Java's Jetty does: OPTIONS with what there is,
// TRACE with a refusal, for it tells what others sent along, and what it does not know with 501.
func methods(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost:
			next.ServeHTTP(w, r)
		case http.MethodOptions:
			w.Header().Set("Allow", allowed)
		case http.MethodTrace:
			w.WriteHeader(http.StatusForbidden)
		case http.MethodPut, http.MethodDelete:
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			w.WriteHeader(http.StatusNotImplemented)
		}
	})
}

// plain is a request's path as Jetty takes it: segments "." and ".." are followed, what stands
// behind a semicolon is dropped, empty segments stay. Go's own router would answer an odd path
// with a redirection, which health checks behind rewriting proxies take for a failure.
func plain(path string) string {
	segments := strings.Split(path, "/")
	out := make([]string, 0, len(segments))
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		last := i == len(segments)-1
		switch {
		case s == ".." && len(out) > 1:
			out = out[:len(out)-1]
		case s != "." && s != "..":
			out = append(out, s)
			continue
		}
		if last { // it names a folder
			out = append(out, "")
		}
	}
	return strings.Join(out, "/")
}

// A page is something that a port shows.
type page struct {
	path, about string
}

// index answers / with what there is. Java answers 404 there.
func index(pages []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		var b strings.Builder
		b.WriteString("<!DOCTYPE html>\n<title>Meerkat</title>\n<h1>Meerkat</h1>\n<ul>\n")
		for _, p := range pages {
			b.WriteString("<li><a href=\"" + p.path + "\">" + p.path + "</a>: " + p.about + "</li>\n")
		}
		b.WriteString("</ul>\n")
		_, _ = w.Write([]byte(b.String())) // a client that left needs no answer
	}
}

// A routes finds the handler of a path; each stands for itself alone.
type routes struct {
	pages    []page
	handlers []http.Handler // of pages
	rest     func(path string) http.Handler
}

func (t *routes) add(path, about string, h http.Handler) {
	t.pages, t.handlers = append(t.pages, page{path, about}), append(t.handlers, h)
}

// ServeHTTP implements http.Handler.
func (t *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := plain(r.URL.Path)
	if i := slices.IndexFunc(t.pages, func(p page) bool { return p.path == path }); i >= 0 {
		t.handlers[i].ServeHTTP(w, r)
		return
	}
	if t.rest != nil {
		if h := t.rest(path); h != nil {
			h.ServeHTTP(w, r)
			return
		}
	}
	if path == "/" {
		index(t.pages).ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}
