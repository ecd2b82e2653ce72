#!/usr/bin/env bash
# Builds the images that manifests/ names, from scratch, and prints their names:
#
#   ghcr.io/fairlead-lb/controller:$TAG   ghcr.io/fairlead-lb/speaker:$TAG        TAG=dev
#
# Needs Go and a Docker daemon, no registry. Where there is no daemon but ../shared/kind/docker.sh, that
# starts one, which then goes on running.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

registry=ghcr.io/fairlead-lb
tag=${TAG:-dev}
version=$(git describe --tags --always --dirty 2>/dev/null || echo v0.0.0-dev)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
context=build/image

die() { echo "image.sh: $*" >&2; exit 1; }

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

# -buildvcs=false: the version is passed in, and a clone that git refuses to read (it is somebody else's)
# must still build.
mkdir -p "$context"
CGO_ENABLED=0 go build -trimpath -buildvcs=false \
	-ldflags "-s -w -X github.com/fairlead-lb/fairlead/internal/daemon.Version=$version" \
	-o "$context/" ./cmd/controller ./cmd/speaker

for component in controller speaker; do
	image=$registry/$component:$tag
	log=$(docker build --quiet --file hack/Dockerfile --target "$component" \
		--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$image" "$context" 2>&1) ||
		die "building $image: $log"
	echo "$image"
done

# Images that lost their names to the new ones.
docker image prune --force --filter label=org.opencontainers.image.source=https://github.com/fairlead-lb/fairlead >/dev/null
