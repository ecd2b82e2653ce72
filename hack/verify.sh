#!/usr/bin/env bash
# Fails, naming the files, if hack/generate.sh would change, add or remove one. It generates in a copy and
# leaves the tree as it is, so it needs neither a clean tree nor git.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# All that hack/generate.sh reads and writes.
paths=(go.mod go.sum api charts hack internal/generated manifests)

copy=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-verify.XXXXXX")
trap 'rm -rf "$copy"' EXIT
tar -c "${paths[@]}" | tar -x -C "$copy"

"$copy/hack/generate.sh"

stale=0
for path in "${paths[@]}"; do
	if ! diff --recursive --brief "$path" "$copy/$path" >>"$copy/names"; then
		diff --recursive --new-file --unified "$path" "$copy/$path" || true
		stale=1
	fi
done
if ((stale)); then
	echo
	echo "Generated files are not up to date; run hack/generate.sh:"
	sed -E \
		-e "s|^Only in $copy/(.*): (.*)|  \1/\2 is missing|" \
		-e 's|^Only in (.*): (.*)|  \1/\2 is left over|' \
		-e 's|^Files (.*) and .* differ|  \1 is out of date|' "$copy/names"
	exit 1
fi
