// Package admin holds what people and machines manage a server by: the JSON API
// below /api/v1, the page that confirms a login, the probes and the metrics.
//
// Every call of the API is a row of one table (routes.go) that names the action
// policy is asked about, and the types of what it takes and gives. The document
// at /api/v1/openapi.json is made of that table, and requests are held against
// its schemas before a handler sees them. Failures are application/problem+json (RFC 9457): what
// was asked, why not, what to do. Bodies are strict JSON of at most 1 MiB: an
// unknown field is an error. Only a token is taken as a credential, never a
// cookie, so that no other site can act for a person.
//
// Times are RFC 3339 in UTC, sizes are bytes, names of fields are snake_case.
// Packages are named by package URL (purl) in the query, because names hold
// slashes and the edge takes no encoded ones apart.
package admin
