#!/usr/bin/env bash
# fuzz.sh TIME [WHAT...]: runs fuzz tests for TIME each, or for a number of inputs (5000x), one after another: all, or
# those whose package or name is one of WHAT. What fails is written to the package's testdata/fuzz, where `go test` runs it from then on; the rest that is worth
# keeping is in Go's cache, and so the next run goes on from there. It fails if a target does, after all have run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=$1
shift

build=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-fuzz.XXXXXX")
trap 'rm -rf "$build"' EXIT
cache=$(go env GOCACHE)/fuzz

wanted() { # PACKAGE NAME, of WHAT
	local package=$1 name=$2 what
	shift 2
	(($# == 0)) && return
	for what; do
		what=${what#./}
		[[ ${what%/} = "$package" || $what = "$name" ]] && return
	done
	return 1
}

failed=() run=0
while IFS=: read -r file name; do
	package=$(dirname "$file")
	wanted "$package" "$name" "$@" || continue
	run=$((run + 1))
	echo "== $package $name"
	binary=$build/${package//\//-}
	# Once for all targets of a package: to build with what tells the fuzzer where it got takes longer than a short run.
	[[ -e $binary ]] || go test -c -fuzz . -o "$binary" "./$package"
	# Without a bound a minute goes to make one input smaller, in which nothing is tried.
	(cd "$package" && "$binary" -test.run '^$' -test.fuzz="^$name\$" -test.fuzztime "$time" -test.fuzzminimizetime 1s -test.fuzzcachedir "$cache/$(go list .)") || failed+=("$package $name")
done < <(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' api internal | sed 's/:func /:/' | sort)
((run > 0)) || { echo "no fuzz test is in or called $*" >&2; exit 1; }
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; }
