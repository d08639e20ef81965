// Package image carries container images to places without a network: Export
// writes an OCI image layout, a folder or a tar, of what a registry has, and
// Import pushes one. Every byte is held against its digest when it is written
// and again before anything of it is pushed; what others wrote is taken for
// hostile until then.
package image
