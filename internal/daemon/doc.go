// Package daemon is what Fairlead's processes have in common: flags, the logger, the HTTP endpoint for
// metrics and health, and how tasks start and end. It knows nothing of Kubernetes or of what the
// processes do.
package daemon
