#!/usr/bin/env bash
# prometheus.sh: prints the directory that has prometheus and promtool. Where they are not installed they are taken out
# of Debian's package into .cache: installed, it would start a server on the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if installed=$(command -v prometheus) && [[ -x ${installed%/*}/promtool ]]; then
	echo "${installed%/*}"
	exit 0
fi
bin=$PWD/.cache/prometheus/usr/bin
if [[ ! -x $bin/promtool ]]; then
	for program in apt-get dpkg-deb; do
		command -v $program >/dev/null ||
			{ echo "missing: prometheus and promtool; install them (Debian package prometheus)" >&2; exit 1; }
	done
	mkdir -p .cache
	work=$(mktemp -d .cache/prometheus.XXXXXX)
	trap 'rm -rf "$work"' EXIT
	echo "fetching Prometheus from Debian's packages" >&2
	# As on a fresh machine, where apt knows of no packages yet.
	fetch() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root prometheus >&2); }
	fetch 2>/dev/null || { apt-get update -qq >&2 && fetch; }
	dpkg-deb -x "$work"/*.deb "$work/root"
	chmod 755 "$work/root"
	# Another may have been faster.
	mv -T "$work/root" .cache/prometheus 2>/dev/null || [[ -x $bin/promtool ]]
fi
echo "$bin"
