#!/usr/bin/env bash
# The product on a real cluster: makes one by kind (a control-plane node and two workers, dual-stack), loads
# the images into it, runs the tests of e2e/kind, and removes all that it made, whatever happens.
#
#   KIND_PROVIDER     registry: kind's own node image. offline: the one that ../shared/kind builds where no
#                     image registry is reached. Default: registry if KIND_NODE_IMAGE is set, else offline if
#                     ../shared/kind is there, else registry.
#   KIND_NODE_IMAGE   node image for the registry provider instead of kind's default
#   KUBE_PROXY_MODE   nftables (default) or iptables
#   KEEP=1            leaves the cluster, and Docker, running, to look into a failure
#
# Needs Go and Docker; kind is built and kubectl comes from the node image if they are not there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=fairlead-e2e
client=$cluster-client
echo_image=ghcr.io/fairlead-lb/e2e-echo:dev
kind_version=v0.33.0
offline=${KIND_OFFLINE:-$PWD/../shared/kind}
if [[ -z ${KIND_PROVIDER:-} ]]; then
	KIND_PROVIDER=registry
	if [[ -z ${KIND_NODE_IMAGE:-} && -x $offline/node-image.sh ]]; then KIND_PROVIDER=offline; fi
fi
case $KIND_PROVIDER in
offline) network=kind-offline ;;
registry) network=${KIND_EXPERIMENTAL_DOCKER_NETWORK:-kind} ;;
*) echo "e2e-kind.sh: KIND_PROVIDER is $KIND_PROVIDER: registry and offline are known" >&2; exit 2 ;;
esac
export KIND_EXPERIMENTAL_DOCKER_NETWORK=$network

say() { printf 'e2e-kind: %3d s: %s\n' "$SECONDS" "$*"; }

# One at a time on a machine: the cluster's name and addresses are fixed. What is started in the background
# must not hold the lock (9>&-).
exec 9>/var/tmp/fairlead-e2e-kind.lock
flock --nonblock 9 || { echo "e2e-kind.sh: another run is in progress" >&2; exit 1; }

work=$(mktemp -d /var/tmp/fairlead-e2e-kind.XXXXXX)
export KUBECONFIG=$work/kubeconfig
kind='' docker_pid='' network_made='' job=''

# run runs what takes long so that a signal to this script ends it at once, with all that it started.
run() {
	setsid "$@" 9>&- &
	job=$!
	wait "$job" || { local status=$?; job=''; return "$status"; }
	job=''
}

# dump tells what the pods said and what the cluster saw. The kubelet of a killed worker does not answer:
# every question has its time.
dump() {
	say "state of the cluster at the failure"
	docker ps --all --filter "name=$cluster"
	k() { timeout 10 kubectl "$@" 2>&1 || true; }
	k get nodes,pods,services,endpointslices --all-namespaces --output wide
	k get ipaddresspools,l2advertisements,speakers --output yaml
	k get events --all-namespaces --sort-by .lastTimestamp
	for pod in $(k get pods --namespace fairlead-system --output name); do
		k describe --namespace fairlead-system "$pod"
		echo "--- log of $pod"
		k logs --namespace fairlead-system "$pod" --tail 300
		k logs --namespace fairlead-system "$pod" --tail 100 --previous | sed 's/^/before its restart: /'
	done
	echo "--- log of kube-proxy"
	k logs --namespace kube-system --selector k8s-app=kube-proxy --prefix --tail 30
}

finish() {
	local status=$?
	trap '' INT TERM
	set +e
	if [[ -n $job ]]; then kill -- "-$job"; fi
	# 130, 143: somebody stopped it, nothing has failed
	if [[ -n $kind && -e $KUBECONFIG && $status != @(0|130|143) ]]; then dump; fi
	if [[ -n ${KEEP:-} ]]; then
		say "kept: export KUBECONFIG=$KUBECONFIG; remove with: $kind delete cluster --name $cluster"
		exit "$status"
	fi
	docker rm --force "$client" >/dev/null 2>&1
	if [[ -n $kind ]]; then "$kind" delete cluster --name "$cluster" >/dev/null 2>&1; fi
	if [[ -n $network_made ]]; then docker network rm "$network" >/dev/null 2>&1; fi
	rm -rf "$work"
	# Whoever began to use Docker meanwhile keeps it.
	if [[ -n $docker_pid && -z $(docker ps --quiet) ]]; then
		kill "$docker_pid" && timeout 30 tail --pid "$docker_pid" --follow /dev/null
	fi
	say "removed all; exit status $status"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! docker info >/dev/null 2>&1; then
	if [[ $KIND_PROVIDER != offline ]]; then
		echo "e2e-kind.sh: no Docker daemon answers: $(docker info 2>&1 | tail -1)" >&2
		exit 1
	fi
	say "starting Docker"
	before=$(cat /var/run/docker.pid 2>/dev/null || true)
	"$offline/docker.sh" 9>&-
	docker_pid=$(cat /var/run/docker.pid)
	# One that somebody else was just starting is not ours to stop.
	if [[ $docker_pid = "$before" ]]; then docker_pid=''; fi
fi

say "building images"
TAG=dev hack/image.sh # as the manifest has it
mkdir -p build/echo
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/echo/ ./e2e/kind/echo
docker build --quiet --file e2e/kind/echo/Dockerfile --tag "$echo_image" build/echo >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
# Compiled before the cluster is there: it would compete for the processors.
go test -tags kind -c -o /dev/null ./e2e/kind

node_image=${KIND_NODE_IMAGE:-}
if [[ $KIND_PROVIDER = offline ]]; then
	node_image=$("$offline/node-image.sh" 9>&-)
	kind=$("$offline/kind.sh")
elif ! kind=$(command -v kind); then
	say "building kind $kind_version"
	GOBIN=$PWD/build/kind-$kind_version go install "sigs.k8s.io/kind@$kind_version"
	kind=$PWD/build/kind-$kind_version/kind
fi

# Dual-stack, which ../shared/kind/up.sh does not offer: so of the files there this uses the parts and not
# the whole. The addresses are for documentation and benchmarks only; kind's own defaults might be somebody's.
cat >"$work/kind.yaml" <<EOC
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  ipFamily: dual
  kubeProxyMode: ${KUBE_PROXY_MODE:-nftables}
  podSubnet: 198.18.0.0/16,2001:db8:18::/56
  serviceSubnet: 198.19.0.0/16,2001:db8:19::/112
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
EOC
if [[ $KIND_PROVIDER = offline ]]; then
	# As up.sh has it: no image of a CNI plugin or of CoreDNS, and perhaps cgroup v1.
	cat >>"$work/kind.yaml" <<'EOC'
kubeadmConfigPatches:
- |
  kind: InitConfiguration
  skipPhases: [preflight, addon/coredns]
- |
  kind: KubeletConfiguration
  failCgroupV1: false
  cgroupDriver: cgroupfs
EOC
	sed -i '/^networking:/a\  disableDefaultCNI: true' "$work/kind.yaml"
fi
if ! docker network inspect "$network" >/dev/null 2>&1; then
	network_made=1
	if [[ $KIND_PROVIDER = offline ]]; then
		docker network create --driver bridge --subnet 198.51.100.128/25 --ipv6 --subnet 2001:db8:2::/64 "$network" >/dev/null
	fi # else kind makes it
fi

say "creating the cluster ($KIND_PROVIDER)"
"$kind" delete cluster --name "$cluster" >/dev/null 2>&1 # of a run that was killed
docker rm --force "$client" >/dev/null 2>&1 || true
run timeout 600 "$kind" create cluster --name "$cluster" ${node_image:+--image "$node_image"} \
	--config "$work/kind.yaml" --kubeconfig "$KUBECONFIG" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# The node's kubectl is of the server's version; nothing needs to be installed.
mkdir "$work/bin"
docker cp --follow-link "$cluster-control-plane:/usr/bin/kubectl" "$work/bin/kubectl" >/dev/null
export PATH=$work/bin:$PATH

# podnet joins the nodes' pod ranges, of both families, where kind's own CNI plugin is not there to do it.
podnet() {
	local format='{range .items[*]}{.metadata.name} {.spec.podCIDRs[0]} {.spec.podCIDRs[1]} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
	local node v4 v6 via4 via6 other
	until [[ $(kubectl get nodes --output jsonpath='{.items[*].spec.podCIDRs[1]}' | wc -w) = 3 ]]; do sleep 0.5; done
	kubectl get nodes --output jsonpath="$format" >"$work/nodes"
	while read -r node v4 v6 _; do
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
		done <"$work/nodes"
	done <"$work/nodes"
}
if [[ $KIND_PROVIDER = offline ]]; then podnet; fi
kubectl wait --for condition=Ready nodes --all --timeout 120s

say "loading images"
run "$kind" load docker-image --name "$cluster" \
	ghcr.io/fairlead-lb/controller:dev ghcr.io/fairlead-lb/speaker:dev "$echo_image" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

say "testing"
export E2E_KIND_NETWORK=$network E2E_KIND_CLIENT=$client E2E_KIND_IMAGE=$echo_image
run go test -tags kind -count 1 -v -timeout 8m ./e2e/kind
say "passed"
