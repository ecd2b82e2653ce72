#!/usr/bin/env bash
# need.sh PROGRAM...: sees to it that programs are there. On Debian and Ubuntu root gets the packages of the
# same names; else it says what is missing.
set -euo pipefail
missing=()
for program; do
	command -v "$program" >/dev/null || missing+=("$program")
done
((${#missing[@]} == 0)) && exit 0
if [[ $(id -u) = 0 ]] && command -v apt-get >/dev/null; then
	echo "installing: ${missing[*]}"
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	# gcc alone has no C library to link with
	[[ " ${missing[*]} " != *" gcc "* ]] || apt-get install -y -qq --no-install-recommends libc6-dev >/dev/null
	exit 0
fi
echo "missing: ${missing[*]}; install them, or run this as root on Debian or Ubuntu" >&2
exit 1
