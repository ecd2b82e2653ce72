package controller

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/client-go/util/workqueue"
)

// item is something to look at again.
type item struct {
	kind kind
	key  lb.Key // of what has no namespace only the name
}

type kind uint8

const (
	service       kind = iota // what a Service asks for, or its status, may have changed
	poolStatus                // what a pool's status should say may have changed
	poolSet                   // a pool has come, gone, or changed
	namespace                 // a namespace's labels have changed
	retention                 // the wait of a retained address may be over
	configSet                 // an advertisement, peer, profile or Community has come, gone, or changed
	nodeLabels                // a node has come, gone, or has other labels
	uninstall                 // the namespace that Fairlead lives in is being deleted
	speakerReport             // a speaker has come, gone, or says other things of its sessions or addresses
	// What the status of one of these should say may have changed.
	l2Advertisement
	bgpAdvertisement
	bgpPeer
	bfdProfile
	community
)

// allPools has all pools read anew: they overlap, so that one means nothing without the others.
var allPools = item{kind: poolSet}

// endRetention ends the waits that are over.
var endRetention = item{kind: retention}

// allConfig has the configuration beside the pools read anew: one object means little without the others.
var allConfig = item{kind: configSet}

func (i item) String() string {
	if i.kind == service {
		return i.key.String()
	}
	return i.key.Name
}

type queue = workqueue.TypedRateLimitingInterface[item]

// newQueue makes a queue that tries failed items again, soon at first. The limit of the wait is short: it
// passes only while the API server answers and refuses, since a controller that does not reach it loses
// the leadership and the queue with it.
func newQueue() queue {
	return workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[item](20*time.Millisecond, 10*time.Second))
}
