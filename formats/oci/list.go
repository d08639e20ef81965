package oci

import "github.com/go-json-experiment/json"

// renderTags writes a page of an image's tags. An empty list is [], never null:
// clients in some languages fail on that.
func renderTags(name string, tags []string) ([]byte, error) {
	return json.Marshal(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name, tags})
}

// renderCatalog writes a page of the names of images.
func renderCatalog(names []string) ([]byte, error) {
	return json.Marshal(struct {
		Repositories []string `json:"repositories"`
	}{names})
}
