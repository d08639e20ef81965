// Package openapi describes an API in a document of OpenAPI 3.1, with schemas
// that are made from the Go types of its bodies, and checks bodies against the
// same schemas. It knows the part of both standards that larder uses.
//
// A struct is a closed object: no fields but those with a json tag. A field is
// required unless its tag says omitempty or omitzero. Three more tags tell of it:
//
//	doc:"…"     what it means; a field without one is a mistake
//	enum:"a,b"  the words it takes
//	min:"1" max:"100"  bounds: of a number, of the characters of a text, of the
//	            entries of a list
//
// A struct whose fields have a query tag is the query of a call in the same way;
// its required parameters say required:"true", and default:"…" tells what holds
// without one.
package openapi
