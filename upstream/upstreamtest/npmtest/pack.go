package npmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// Pack makes a package tarball of files by path, below the folder "package" as
// npm wants it. The same files make the same bytes.
func Pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		head := &tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(head); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}

// Files reads all files of dir, by path.
func Files(dir fs.FS) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, name)
		files[name] = data
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the package folder: %w", err)
	}
	return files, nil
}

// PublishBody makes the document that `npm publish` sends for a tarball. The
// manifest needs a name and a version.
func PublishBody(manifest map[string]any, tarball []byte, tag string) ([]byte, error) {
	name, version, err := identity(manifest)
	if err != nil {
		return nil, err
	}
	full := maps.Clone(manifest)
	full["_id"] = name + "@" + version
	full["dist"] = map[string]any{
		"integrity": Integrity(tarball), "shasum": shasum(tarball),
		"tarball": "http://upstream.example/" + name + "/-/" + name + "-" + version + ".tgz",
	}
	return json.Marshal(map[string]any{
		"_id": name, "name": name, "access": nil,
		"dist-tags": map[string]string{tag: version},
		"versions":  map[string]any{version: full},
		"_attachments": map[string]any{
			name + "-" + version + ".tgz": map[string]any{
				"content_type": "application/octet-stream",
				"data":         base64.StdEncoding.EncodeToString(tarball),
				"length":       len(tarball),
			},
		},
	})
}

func identity(manifest map[string]any) (name, version string, err error) {
	name, _ = manifest["name"].(string)
	version, _ = manifest["version"].(string)
	if name == "" || version == "" {
		return "", "", fmt.Errorf("a manifest needs a name and a version, got %q and %q", name, version)
	}
	return name, version, nil
}

// Integrity returns the sha512 of data as npm writes it.
func Integrity(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func shasum(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}
