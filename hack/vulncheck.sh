#!/usr/bin/env bash
# Fails if code of ours reaches a known vulnerability, in a module of go.mod or in Go's library (govulncheck, whose version
# hack/tools/go.mod fixes), but for those of hack/vulndb/accepted, each with its reason.
#
#   hack/vulncheck.sh [PACKAGE...]      default: all
#
# The database is Go's, or the one that GOVULNDB names, also a file:// URL. Where it is not reached, hack/vulndb is read in
# its place: a list made by hand, that is not complete. That is said in capitals, and it fails if VULNCHECK=required, as a
# machine sets that reaches the internet and is to notice. It does not go by whether there is a CI: some have no way out,
# and a database that is not reached for a day is no reason to stop.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# modified URL: when the database there changed last.
modified() {
	case $1 in
	file://*) cat "${1#file://}/index/db.json" 2>/dev/null ;;
	*) curl --silent --fail --location --max-time 20 "$1/index/db.json" ;;
	esac | sed -n 's/.*"modified": *"\([^"]*\)".*/\1/p'
}

hack/need.sh curl
db=${GOVULNDB:-https://vuln.go.dev}
dated=$(modified "$db") || dated=''
if [[ -z $dated ]]; then
	if [[ ${VULNCHECK:-} == required ]]; then
		echo "VULNERABILITIES: NOT CHECKED: the database $db is not reached" >&2
		exit 1
	fi
	echo "VULNERABILITIES: CHECKED IN PART ONLY: the database $db is not reached, hack/vulndb is not complete" >&2
	db=file://$PWD/hack/vulndb
	dated=$(modified "$db")
fi
age=$((($(date +%s) - $(date --date="$dated" +%s)) / 86400))
echo "vulnerabilities: the database $db of $dated, $age days old"
if ((age > 180)); then
	echo "VULNERABILITIES: THE DATABASE IS $age DAYS OLD: what became known since is not found" >&2
fi

status=0
report=$(go tool -modfile=hack/tools/go.mod govulncheck -db "$db" "${@:-./...}") || status=$?
# 3 is "found some"; anything else that is not 0 is that it did not work.
accepted=$(sed -n 's/^\(GO-[0-9-]*\) .*/\1/p' hack/vulndb/accepted)
if ((status == 3)); then
	found=$(sed -n 's/^Vulnerability #[0-9]*: \(GO-[0-9-]*\)$/\1/p' <<<"$report")
	left=$(grep --invert-match --line-regexp --fixed-strings --file=<(echo "$accepted") <<<"$found") || true
	if [[ -n $found && -z $left ]]; then
		echo "vulnerabilities: none but those that hack/vulndb/accepted accepts:" $found
		exit 0
	fi
fi
# A vulnerability of a whole package has hundreds of traces.
grep --invert-match --extended-regexp '^ *#([4-9]|[0-9]{2,}): ' <<<"$report" || true
exit $status
