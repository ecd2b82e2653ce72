#!/usr/bin/env bash
# Builds the images that manifests/ names:
#
#   ghcr.io/fairlead-lb/controller:$TAG   ghcr.io/fairlead-lb/speaker:$TAG
#
#   image.sh            gives them to the local Docker and prints their names
#   image.sh archive    writes build/image/fairlead-$TAG.oci.tar, an OCI image layout with both, for every platform,
#                       and each image's SBOM beside it (which is /sbom.cdx.json in the image); prints names and digests
#   image.sh push       pushes them to REGISTRY, as docker login allows; prints names and digests
#
#   TAG                 dev
#   REGISTRY            ghcr.io/fairlead-lb
#   PLATFORMS           linux/amd64,linux/arm64 (linux/arm/v7 compiles too); without archive and push, Docker's own
#   BASE                scratch; else an image's name (gcr.io/distroless/static:nonroot), or a file that docker save wrote
#   VERSION             what git describe says; v0.0.0-dev where there is no git
#   REVISION            the commit; none where there is no git
#   SOURCE_DATE_EPOCH   the commit's time; 1970 where there is no git
#
# The same commit gives the same bytes, with the same release of Go (in the SBOM; GOTOOLCHAIN chooses one) and the
# same tags in the clone, for VERSION. Needs Go, and only without archive and push a Docker daemon; no registry unless
# BASE names one. Where there is no daemon but ../shared/kind/docker.sh, that starts one, which then goes on running.
set -euo pipefail

base=${BASE:-scratch}
if [[ -f $base ]]; then base=$(realpath "$base"); fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

do=${1:-load}
tag=${TAG:-dev}
registry=${REGISTRY:-ghcr.io/fairlead-lb}
out=$PWD/build/image

die() { echo "image.sh: $*" >&2; exit 1; }

# A clone that is somebody else's is read too: who runs this trusts it already. Nothing above it is asked.
git() { GIT_CEILING_DIRECTORIES=$(dirname "$PWD") command git -c "safe.directory=$PWD" "$@" 2>/dev/null; }
version=${VERSION:-$(git describe --tags --always --dirty || echo v0.0.0-dev)}
revision=${REVISION:-$(git rev-parse HEAD || true)}
created=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct || echo 0)}

case $do in
load)
	if ! docker info >/dev/null 2>&1; then
		start=${KIND_OFFLINE:-../shared/kind}/docker.sh
		if [[ -x $start ]]; then
			"$start"
		elif ! command -v docker >/dev/null; then
			die "there is no docker program in PATH: install Docker (on Debian and Ubuntu: apt-get install docker.io)"
		else
			die "the Docker daemon does not answer: $(docker info 2>&1 | tail -1)"
		fi
	fi
	platforms=${PLATFORMS:-linux/$(docker version --format '{{.Server.Arch}}')}
	;;
archive | push) platforms=${PLATFORMS:-linux/amd64,linux/arm64} ;;
*) die "$do is none of load, archive and push" ;;
esac

# What would change the programs and is not of this tree is set here: what somebody's go env -w or go.work says.
# -buildvcs=false: the version is passed in, and git may be missing.
export GOWORK=off GOFLAGS='-trimpath -buildvcs=false' GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0
variables=github.com/fairlead-lb/fairlead/internal/daemon
for platform in ${platforms//,/ }; do
	IFS=/ read -r os architecture variant <<<"$platform"
	mkdir -p "$out/$platform"
	GOOS=$os GOARCH=$architecture GOARM=${variant#v} go build \
		-ldflags "-s -w -X $variables.Version=$version -X $variables.Commit=$revision" \
		-o "$out/$platform/" ./cmd/controller ./cmd/speaker
done

# Compiled for the machine that this runs on.
image() {
	go -C hack/tools run ./image -programs "$out" -platforms "$platforms" -base "$base" -registry "$registry" \
		-tag "$tag" -version "$version" -revision "$revision" -created "$created" -o "$out" "$@"
}
if [[ $do != load ]]; then
	image "$do"
	exit
fi
log=$( (image load | docker load --quiet) 2>&1) || die "loading the images: $log"
printf '%s\n' "$registry/controller:$tag" "$registry/speaker:$tag"

# Images that lost their names to the new ones.
docker image prune --force --filter label=org.opencontainers.image.source=https://github.com/fairlead-lb/fairlead >/dev/null
