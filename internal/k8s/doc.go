// Package k8s is what the controller and the speaker share of Kubernetes: the connection to the API
// server, watches, events, and the conversion of API objects into the values of package lb. The deciding
// packages below never see an API object, and with the packages under it this is the only one that knows
// client-go.
//
// It decides nothing, and it writes only events.
package k8s
