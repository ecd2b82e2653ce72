#!/usr/bin/env bash
# Fails if code of ours reaches a known vulnerability, in a module of go.mod or in Go's library (govulncheck, whose version
# hack/tools/go.mod fixes).
#
#   hack/vulncheck.sh [PACKAGE...]      default: all
#
# The database is Go's, or the one that GOVULNDB names, also a file:// URL. Where it is not reached nothing is checked: it
# says so in capitals, and fails if VULNCHECK=required, as a machine sets that reaches the internet and is to notice. It
# does not go by whether there is a CI: some have no way out, and one that is not reached for a day is no reason to stop.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

hack/need.sh curl
db=${GOVULNDB:-https://vuln.go.dev}
case $db in
file://*) dated=$(cat "${db#file://}/index/db.json" 2>/dev/null) || dated='' ;;
*) dated=$(curl --silent --fail --location --max-time 20 "$db/index/db.json") || dated='' ;;
esac
if [[ -z $dated ]]; then
	echo "VULNERABILITIES: NOT CHECKED: the database $db is not reached" >&2
	[[ ${VULNCHECK:-} != required ]]
	exit
fi
echo "vulnerabilities: the database $db, $dated"
exec go tool -modfile=hack/tools/go.mod govulncheck -db "$db" "${@:-./...}"
