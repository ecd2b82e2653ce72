// Package lb holds the values that the controller's and the speaker's parts share: names, address
// families, ranges, pools. It decides nothing beyond parsing, and it knows neither Kubernetes nor the
// network.
package lb
