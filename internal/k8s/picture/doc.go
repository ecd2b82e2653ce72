// Package picture makes of what the controller watches what the status page shows. It decides nothing, writes nothing
// and asks the API server for nothing. While nobody looks it keeps nothing but the usage of pools over time.
package picture
