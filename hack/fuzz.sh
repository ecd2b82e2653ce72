#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz test of the repository for TIME each, one after another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
grep -rl --include='*_test.go' '^func Fuzz' api internal | while read -r file; do
	grep -o '^func Fuzz[A-Za-z0-9]*' "$file" | while read -r _ name; do
		echo "== $(dirname "$file") $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "./$(dirname "$file")"
	done
done
