package formattest

// Hostile returns escaped path segments, or runs of them, that must be refused
// behind every mount, wherever in a path they stand: each has led some server
// out of its folder, past its access rules, or to another reading of the path.
func Hostile() []string {
	return []string{
		// dots, plain and encoded once
		"..", ".", "../..", "./x", "x/..", "x/../y", "%2e", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e%2e/x",
		"x/%2e%2e/y", "%2e/x", "...", "....", "%2e%2e%2e",
		// encoded slashes that hide dots or emptiness
		"..%2f", "..%2fx", "%2e%2e%2fx", "%2e%2e%2Fx", "x%2f..", "x%2f..%2fy", "x%2f.%2fy", "x%2f%2e%2e%2fy",
		"%2f", "%2fx", "x%2f", "x%2f%2fy", "%2f%2e%2e", "..%2f..%2f..%2fetc%2fpasswd",
		// empty segments
		"/x", "x//y", "//", "x//",
		// backslashes
		`%5c`, `..%5c`, `..%5C..%5cx`, `%2e%2e%5cx`, `x%5c..%5cy`, `%5c%5chost%5cshare`, `c:%5cx`,
		// escapes within escapes
		"%252e%252e", "%252e%252e%252fx", "%252f", "..%252fx", "x%252f..%252fy", "%25252e", "%255c", "%2500", "x%2520y",
		// control characters
		"%00", "x%00", "x%00.tgz", "..%00/", "%0a", "x%0d%0ay", "%09", "%1b[31m", "%7f", "%c2%80", "%c2%85",
		// not UTF-8: overlong and broken forms
		"%c0%ae%c0%ae", "%c0%af", "%e0%80%ae", "%f0%80%80%ae", "%c1%9c", "%ff", "%fe%fe", "%ed%a0%80", "%c3",
		// parameters and spaces that some readers drop
		"..;", "..;/x", "..;a=b", ".;", ";", ";x", "..%20", "%20..", ".%20.", "%20",
		"..%3b", "%2e%2e%3bx", "%2e%2e;",
	}
}
