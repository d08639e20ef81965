package npm

// Routes lists every route of the protocol as "METHOD path", with its fields
// as they are written in the table.
func Routes() []string {
	var list []string
	for _, r := range routes {
		path := ""
		for _, s := range r.path {
			path += "/" + s
		}
		for method := range r.ops {
			list = append(list, method+" "+path)
		}
	}
	return list
}
