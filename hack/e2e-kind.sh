#!/usr/bin/env bash
# The product on a real cluster: makes one by kind (a control-plane node and two workers, dual-stack), loads
# the images into it, runs the tests of e2e/kind, and removes all that it made, whatever happens. Arguments
# are for `go test`, such as -run Fairlead/drain. docs/testing.md has more.
#
#   KIND_PROVIDER     registry: kind's own node image. offline: the one that ../shared/kind builds where no
#                     image registry is reached. Default: registry if KIND_NODE_IMAGE is set, else offline if
#                     ../shared/kind is there, else registry.
#   KIND_NODE_IMAGE   node image for the registry provider instead of kind's default
#   ROUTER_IMAGE      image with FRR; default quay.io/frrouting/frr, or the one that ../shared/kind builds
#   KUBE_PROXY_MODE   nftables (default) or iptables, which the offline image cannot: it misses libm
#   PREVIOUS          the release to upgrade from: a commit; default the last tag before this commit, else its parent
#   KEEP=1            leaves the cluster, and Docker, running; the next run with it uses the cluster again
#   E2E_KUBECONFIG    any other cluster instead, without what takes nodes down; then needs E2E_POOL as well, addresses
#                     of its segment that nobody has (first-last,first-last), and kubectl; this machine is the client
#
# Needs Go, git and Docker; kind is built and kubectl comes from the node image if they are not there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=fairlead-e2e
registry=ghcr.io/fairlead-lb
echo_image=$registry/e2e-echo:dev
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

if [[ -n ${E2E_KUBECONFIG:-} ]]; then
	mkdir -p build/echo
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/echo/ ./e2e/kind/echo
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o build/ ./cmd/kubectl-fairlead
	export KUBECONFIG=$E2E_KUBECONFIG E2E_IMAGE=${E2E_IMAGE:-$echo_image} E2E_CLIENT=$PWD/build/echo/echo PATH=$PWD/build:$PATH
	: "${E2E_POOL:?e2e-kind.sh: name addresses for the pool by E2E_POOL, such as 198.51.100.200-198.51.100.211}"
	export E2E_POOL
	unset E2E_KIND_NETWORK
	exec go test -tags kind -count 1 -v -timeout 20m ./e2e/kind "$@"
fi

# One at a time on a machine: the cluster's name and addresses are fixed. What is started in the background
# must not hold the lock (9>&-).
exec 9>/var/tmp/fairlead-e2e-kind.lock
flock --nonblock 9 || { echo "e2e-kind.sh: another run is in progress" >&2; exit 1; }

# A commit's own parent is missing in a clone of depth 1. The upgrade is not left out for that: it is said.
here=$(pwd)
history() { git -c "safe.directory=$here" "$@"; }
if [[ -z ${PREVIOUS:-} ]]; then
	PREVIOUS=$(history describe --tags --abbrev=0 HEAD~1 2>/dev/null || history rev-parse --verify --quiet HEAD~1) || {
		echo "e2e-kind.sh: there is no commit before this one to upgrade from: fetch the history (git fetch --unshallow), or name a commit by PREVIOUS" >&2
		exit 1
	}
fi

work=/var/tmp/fairlead-e2e-kind
export KUBECONFIG=$work/kubeconfig
kind='' docker_pid='' network_made='' job=''

# run runs what takes long so that a signal to this script ends it at once, with all that it started.
run() {
	setsid "$@" 9>&- &
	job=$!
	wait "$job" || { local status=$?; job=''; return "$status"; }
	job=''
}

# quietly runs what is of interest only if it fails.
quietly() { run "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# dump tells what the pods said and what the cluster saw. The kubelet of a killed worker does not answer:
# every question has its time.
dump() {
	say "state of the cluster at the failure"
	docker ps --all --filter "name=$cluster"
	k() { timeout 10 kubectl "$@" 2>&1 || true; }
	k get nodes,pods,services,endpointslices --all-namespaces --output wide
	k get ipaddresspools,l2advertisements,bgppeers,speakers --output yaml
	k get events --all-namespaces --sort-by .lastTimestamp
	for pod in $(k get pods --namespace fairlead-system --output name); do
		k describe --namespace fairlead-system "$pod"
		echo "--- log of $pod"
		k logs --namespace fairlead-system "$pod" --tail 300
		k logs --namespace fairlead-system "$pod" --tail 100 --previous | sed 's/^/before its restart: /'
	done
	echo "--- log of kube-proxy"
	k logs --namespace kube-system --selector k8s-app=kube-proxy --prefix --tail 30
	# Seen once in nftables mode: a node's kernel had lost half of the elements, of which kube-proxy knew nothing.
	echo "--- services that kube-proxy's rules know, on each node"
	for node in "$cluster"-{control-plane,worker,worker2}; do
		timeout 10 docker exec "$node" nft list map ip kube-proxy service-ips 2>&1 | sed "s/^/$node: /"
	done
}

# beside removes the containers that are not of the cluster: the client, the router, who is behind it.
beside() {
	docker ps --all --quiet --filter label=fairlead-e2e | xargs --no-run-if-empty docker rm --force >/dev/null 2>&1
	docker network ls --quiet --filter label=fairlead-e2e | xargs --no-run-if-empty docker network rm >/dev/null 2>&1
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
	beside
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

if [[ -z ${KEEP:-} ]]; then rm -rf "$work"; fi
mkdir -p "$work/bin" "$work/previous"
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
# The same under another name: a rolling update to another image.
for component in controller speaker; do docker tag "$registry/$component:dev" "$registry/$component:again"; done
mkdir -p build/echo
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o build/echo/ ./e2e/kind/echo
quietly docker build --quiet --file e2e/kind/echo/Dockerfile --tag "$echo_image" build/echo
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$work/bin/" ./cmd/kubectl-fairlead
say "building images of $PREVIOUS, to upgrade from"
rm -rf "$work/previous" && mkdir "$work/previous"
history archive "$PREVIOUS" | tar -x -C "$work/previous"
TAG=previous VERSION=$(history describe --tags --always "$PREVIOUS") quietly "$work/previous/hack/image.sh"
sed -E "s#($registry/(controller|speaker)):dev#\1:previous#" "$work/previous/manifests/fairlead.yaml" >"$work/previous.yaml"
# Compiled before the cluster is there: it would compete for the processors.
go test -tags kind -c -o /dev/null ./e2e/kind

node_image=${KIND_NODE_IMAGE:-} podnet='' router_image=${ROUTER_IMAGE:-}
if [[ $KIND_PROVIDER = offline ]]; then
	podnet=$PWD/hack/e2e-podnet.sh
	node_image=$("$offline/node-image.sh" 9>&-)
	router_image=${router_image:-$("$offline/router-image.sh" 9>&-)}
	kind=$("$offline/kind.sh")
elif ! kind=$(command -v kind); then
	say "building kind $kind_version"
	GOBIN=$PWD/build/kind-$kind_version go install "sigs.k8s.io/kind@$kind_version"
	kind=$PWD/build/kind-$kind_version/kind
fi
router_image=${router_image:-quay.io/frrouting/frr:10.2.3}

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

export PATH=$work/bin:$PATH
beside
if [[ -n ${KEEP:-} ]] && timeout 10 kubectl get nodes >/dev/null 2>&1; then
	say "using the cluster that was kept"
else
	if ! docker network inspect "$network" >/dev/null 2>&1; then
		network_made=1
		if [[ $KIND_PROVIDER = offline ]]; then
			docker network create --driver bridge --subnet 198.51.100.128/25 --ipv6 --subnet 2001:db8:2::/64 "$network" >/dev/null
		fi # else kind makes it
	fi
	say "creating the cluster ($KIND_PROVIDER)"
	"$kind" delete cluster --name "$cluster" >/dev/null 2>&1 # of a run that was killed
	quietly timeout 600 "$kind" create cluster --name "$cluster" ${node_image:+--image "$node_image"} \
		--config "$work/kind.yaml" --kubeconfig "$KUBECONFIG"
	# The node's kubectl is of the server's version; nothing needs to be installed.
	docker cp --follow-link "$cluster-control-plane:/usr/bin/kubectl" "$work/bin/kubectl" >/dev/null
fi
if [[ -n $podnet ]]; then "$podnet" "$cluster"-{control-plane,worker,worker2}; fi
kubectl wait --for condition=Ready nodes --all --timeout 120s

say "loading images"
quietly "$kind" load docker-image --name "$cluster" "$registry"/{controller,speaker}:{dev,again,previous} "$echo_image"

say "testing"
cat >"$work/env" <<EOC
export KUBECONFIG=$KUBECONFIG PATH=$work/bin:\$PATH E2E_IMAGE=$echo_image
export E2E_KIND_NETWORK=$network E2E_KIND_PREFIX=$cluster E2E_KIND_ROUTER_IMAGE=$router_image E2E_KIND_PODNET=$podnet
export E2E_KIND_PREVIOUS=$work/previous.yaml
EOC
. "$work/env"
run go test -tags kind -count 1 -v -timeout 20m ./e2e/kind "$@"
say "passed"
