#!/usr/bin/env bash
# axe.sh: prints the path of axe.min.js, which checks pages for accessibility, taken from the npm registry into .cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.14.1
sha512=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
script=$PWD/.cache/axe-core-$version/axe.min.js
if [[ ! -f $script ]]; then
	hack/need.sh npm >&2
	mkdir -p .cache
	work=$(mktemp -d .cache/axe.XXXXXX)
	trap 'rm -rf "$work"' EXIT
	echo "fetching axe-core from the npm registry" >&2
	npm pack --silent --pack-destination "$work" "axe-core@$version" >/dev/null
	archive=$work/axe-core-$version.tgz
	sha512sum --check --quiet <<<"$sha512  $archive" >&2 || { echo "axe-core $version is not what it was" >&2; exit 1; }
	mkdir "$work/out"
	tar -xzf "$archive" -C "$work/out" --strip-components=1 package/axe.min.js package/LICENSE
	chmod 755 "$work/out"
	# Another may have been faster.
	mv -T "$work/out" "${script%/*}" 2>/dev/null || [[ -f $script ]]
fi
echo "$script"
