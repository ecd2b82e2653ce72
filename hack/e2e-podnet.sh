#!/usr/bin/env bash
# e2e-podnet.sh NODE...: joins the pod ranges of a kind cluster's nodes, of both families, where kind's own CNI
# plugin is not there to do it (../shared/kind). Again after a node was restarted, or was cut off: the kernel's
# routes are gone then.
set -euo pipefail

nodes=$(mktemp)
trap 'rm -f "$nodes"' EXIT
format='{range .items[*]}{.metadata.name} {.spec.podCIDRs[0]} {.spec.podCIDRs[1]} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
until [[ $(kubectl get nodes --output jsonpath='{.items[*].spec.podCIDRs[1]}' | wc -w) = $# ]]; do sleep 0.5; done
kubectl get nodes --output jsonpath="$format" >"$nodes"
while read -r node v4 v6 _; do
	[[ $(docker inspect --format '{{.State.Running}}' "$node") = true ]] || continue
	# The node's own service writes a configuration of one family first: only then is it replaced.
	docker exec --interactive "$node" bash -c 'until [ -e /etc/cni/net.d/10-node.conflist ]; do sleep 0.2; done; cat >/etc/cni/net.d/10-node.conflist' <<-EOC
		{"cniVersion": "0.4.0", "name": "node", "plugins": [
		 {"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": {"type": "host-local",
		  "ranges": [[{"subnet": "$v4"}], [{"subnet": "$v6"}]], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
		 {"type": "portmap", "capabilities": {"portMappings": true}}]}
	EOC
	while read -r other v4 v6 via4 via6; do
		[[ $node = "$other" ]] && continue
		docker exec "$node" ip route replace "$v4" via "$via4" </dev/null
		docker exec "$node" ip -6 route replace "$v6" via "$via6" </dev/null
	done <"$nodes"
done <"$nodes"
