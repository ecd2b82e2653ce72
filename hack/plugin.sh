#!/usr/bin/env bash
# Builds kubectl-fairlead for every platform, each in an archive with its licence, and the manifest for krew with their
# digests:
#
#   build/plugin/kubectl-fairlead-$VERSION-OS-ARCH.tar.gz   build/plugin/fairlead.yaml
#
#   VERSION             what git describe says, behind v0.0.0- if it is no version
#   PLATFORMS           linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; the manifest is
#                       written only for all of them
#   OUT                 build/plugin
#   SOURCE_DATE_EPOCH   the commit's time; 1970 where there is no git
#
# The same commit gives the same bytes, with the same release of Go.
set -euo pipefail
out=$(realpath -m "${OUT:-$(dirname "${BASH_SOURCE[0]}")/../build/plugin}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

git() { command git -c "safe.directory=$PWD" "$@" 2>/dev/null; }
version=${VERSION:-$(git describe --tags --always --dirty || echo dev)}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || version=v0.0.0-$version
created=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct || echo 0)}
all="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64"
platforms=${PLATFORMS:-$all}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
rm -f "$out"/kubectl-fairlead-* "$out/fairlead.yaml"
manifest=$(sed "1d; s/VERSION/$version/g" hack/krew.yaml)
for platform in $platforms; do
	os=${platform%/*} arch=${platform#*/}
	name=kubectl-fairlead-$version-$os-$arch.tar.gz
	files=(LICENSE)
	rm -rf "${work:?}"/*
	install -m 644 LICENSE "$work/"
	if [[ $os == windows ]]; then
		files+=(kubectl-fairlead.exe)
	else
		files+=(kubectl-fairlead kubectl_complete-fairlead)
		install -m 755 cmd/kubectl-fairlead/kubectl_complete-fairlead "$work/"
	fi
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -o "$work/${files[1]}" \
		-ldflags "-s -w -X github.com/fairlead-lb/fairlead/internal/daemon.Version=$version" ./cmd/kubectl-fairlead
	tar -C "$work" --format=ustar --mtime="@$created" --owner=0 --group=0 --numeric-owner -c "${files[@]}" | gzip -9n >"$out/$name"
	sum=$(sha256sum "$out/$name")
	manifest=${manifest//SHA256_${os}_${arch}/${sum%% *}}
	echo "${sum%% *}  $out/$name"
done
if [[ $platforms == "$all" ]]; then
	echo "$manifest" >"$out/fairlead.yaml"
	echo "$out/fairlead.yaml"
fi
