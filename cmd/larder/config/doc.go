// Package config reads the configuration of a larder server: one strict YAML
// file, the environment and flags, over defaults that need neither.
//
// Precedence is flag > environment > file > default. The structs of this
// package are the only list of keys: names in the file, names in the
// environment, and the checks of config.example.yaml are all derived from their
// `key` tags by reflection.
//
// Names in the environment are LARDER_ followed by the path of the key in upper
// case with underscores: cache.max_size is LARDER_CACHE_MAX_SIZE, and
// upstreams.npm.url is LARDER_UPSTREAMS_NPM_URL. Lists are comma separated;
// lists of objects (policy.claims and the like) are YAML.
//
// Maps of the file (upstreams, registries) are merged into the default ones
// entry by entry: an entry that the file has replaces the default entry of that
// name, an entry set to null removes it.
package config
