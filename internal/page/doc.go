// Package page is the status page: the state that it shows, how that changes, and its HTTP handler. It reads nothing of
// the cluster itself, a Source does. It decides nothing, and nothing that a browser sends changes anything.
package page
