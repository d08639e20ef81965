// Package npm speaks the npm registry protocol to npm, yarn, pnpm and bun.
//
// Routes (request.go): a package is one path segment, @scope%2fname, or two,
// @scope/name; both are the same resource. Everything that is no package lives
// under /-/.
//
// Documents: a packument describes all versions of a package. Clients get it
// full or abbreviated. Upstream packuments are kept as they came and pass
// through one streaming walk (document.go) that gives each served form:
// full.go writes packuments, files.go the index from file names to facts.
// Hosted packuments (hosted.go) are written by the same code from one stored
// manifest per version (manifest.go). No walk holds more than one manifest.
//
// Publishing: one PUT carries the document and the tarball in base64;
// publish.go and attachment.go split the two while they stream, tarball.go
// reads what the tarball says of itself.
//
// Quirks worth knowing: clients crash on a packument without dist-tags, on a
// tag that names an absent version and on a version without a time; unknown
// manifest fields must survive, installs depend on them; error bodies are
// {"error": sentence}, because that is the field npm prints.
package npm
