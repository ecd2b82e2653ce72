package v1alpha1_test

import (
	"strings"
	"testing"
)

// MetalLB's users come with their manifests: after a change of apiVersion they apply. These are of its
// documentation, with every field of its v1beta2 BGPPeer and v1beta1 BGPAdvertisement. kubectl leaves out the namespace of a kind that has none.
func TestManifestsOfMetalLBApply(t *testing.T) {
	defs := definitions(t)
	for _, doc := range documents(t, []byte(metalLB)) {
		manifest := strings.NewReplacer("metallb.io/v1beta1", "fairlead.dev/v1alpha1", "metallb.io/v1beta2", "fairlead.dev/v1alpha1", "\n  namespace: metallb-system", "").Replace(string(doc))
		kind, _ := decode(t, manifest)["kind"].(string)
		refusals, stored := defs[kind].apply(t, manifest)
		if len(refusals) > 0 || stored == nil {
			t.Errorf("%s: %s", kind, refusals)
		}
	}
}

const metalLB = `
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: peer
  namespace: metallb-system
spec:
  myASN: 64500
  peerASN: 64501
  peerAddress: 10.0.0.1
  peerPort: 179
  sourceAddress: 10.0.0.11
  holdTime: 1m30s
  keepaliveTime: 30s
  connectTime: 10s
  routerID: 10.0.0.11
  nodeSelectors:
  - matchLabels:
      rack: frontend
  - matchExpressions:
    - key: kubernetes.io/hostname
      operator: In
      values: [hostA, hostB]
  passwordSecret:
    name: bgp-password
  bfdProfile: testbfdprofile
  enableGracefulRestart: true
  ebgpMultiHop: true
  vrf: red
  disableMP: false
  dualStackAddressFamily: false
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: unnumbered
  namespace: metallb-system
spec:
  myASN: 64500
  dynamicASN: external
  interface: eth1
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  name: local
  namespace: metallb-system
spec:
  ipAddressPools:
  - bgp-pool
  ipAddressPoolSelectors:
  - matchLabels:
      pool: edge
  nodeSelectors:
  - matchLabels:
      kubernetes.io/hostname: NodeA
  aggregationLength: 24
  aggregationLengthV6: 64
  localPref: 100
  communities:
  - 65535:65282
  - large:64500:1:2
  - vpn-only
  peers:
  - peer
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  name: empty
  namespace: metallb-system
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata:
  name: testbfdprofile
  namespace: metallb-system
spec:
  receiveInterval: 380
  transmitInterval: 270
  detectMultiplier: 3
  echoInterval: 50
  echoMode: false
  passiveMode: true
  minimumTtl: 254
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata:
  name: communities
  namespace: metallb-system
spec:
  communities:
  - name: vpn-only
    value: 1234:1
  - name: NO_ADVERTISE
    value: 65535:65282
`
