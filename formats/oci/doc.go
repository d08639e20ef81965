// Package oci speaks the OCI distribution protocol, version 1.1, as docker,
// podman, skopeo, buildah, containerd, crane, regctl and helm do.
//
// An image is a package: its manifests are versions named by digest, its tags
// are tags, and its blobs are files that this image alone makes visible, though
// their bytes are stored once.
//
// Routes (routes.go) are read from the right, because every word of the
// protocol may also be a part of an image's name. Names, tags and digests
// (name.go) have one spelling each.
//
// Manifests (check.go) are stored byte for byte, so everything that two readers
// could understand in two ways is refused: duplicate fields, fields in another
// case, a body that is an image and an index at once.
//
// Bytes come in sessions (session.go) or at once (upload.go), and are linked to the
// image before any manifest names them. A push (push.go) checks that all that the
// manifest needs is linked, and makes manifest, references and tags count together.
// Mirrors (mirror.go, lists.go) serve the same routes from an upstream and take no
// writes.
//
// Only those who may read an image hear what it lacks. To all others the edge words
// the 404, which is the same whether there is such an image or not.
//
// Quirks worth knowing: clients sign in only when GET /v2/ answers 401, with a
// realm that is absolute (challenge.go); they ask for tokens in six ways
// (scope.go), and junk among the scopes is never an error; podman takes any
// status but 404 for the end of a search of mirrors.
package oci
