# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# For ./check and ./quickstart, to be sourced in the top folder:
# need_packages KIND... installs what build-packages.list names and what is
# not there, as root or through sudo.  When it may not, it says what is
# missing and fails.  On a system without dpkg it leaves that to configure.
# find_promtool yes|no sets CLEAT_PROMTOOL, or fails.

# Sets as_root to what a command of root begins with.
become_root() {
	if [ "$(id -u)" = 0 ]; then
		as_root='env'
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root='sudo -n env'
	elif command -v sudo >/dev/null && [ -t 0 ]; then
		as_root='sudo env'
	else
		return 1
	fi
}

# apt's words without the names of the hosts that it asks.
hide_mirrors() {
	sed -E "s#[a-z+]+://[^/ ]*#MIRROR#g; s#'[^' /]*[.][^' /]*'#MIRROR#g
		s#([[:alnum:]-]+[.])+[a-z]+:[0-9]+#MIRROR#g"
}

need_packages() {
	command -v dpkg-query >/dev/null || return 0
	want=
	for kind; do
		want="$want $(awk -v k="$kind" '!/^#/ && $2 == k { print $1 }' \
			build-packages.list)"
	done
	# A minimal root has no /etc/hosts; certificates are made for localhost.
	getent hosts localhost >/dev/null || want="$want libnss-myhostname"
	have=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $want \
		2>/dev/null | awk '$1 == "installed" { print $2 }' |
		tr '\n' ' ')"
	missing=
	for p in $want; do
		case $have in
		*" $p "*) ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -z "$missing" ] && return 0

	if ! become_root; then
		echo "missing Debian packages; as root run:" >&2
		echo "    apt-get install --no-install-recommends$missing" >&2
		return 1
	fi
	echo "installing:$missing"
	apt="$as_root DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y"
	apt="$apt -o DPkg::Lock::Timeout=300"
	mkdir -p build
	said=$({ $apt update && $apt install --no-install-recommends $missing
		} </dev/null 2>&1)
	good=$?
	printf '%s\n' "$said" | hide_mirrors >build/packages.log
	if [ $good -ne 0 ]; then
		tail -n 20 build/packages.log >&2
		echo "installing packages failed (build/packages.log)" >&2
		return 1
	fi
}

# promtool is a package of its own in Debian 13; in 12 it is in prometheus,
# which starts a server when it is installed.  So either is only fetched and
# taken apart, once, into the user's cache.  apt's words are dropped, they name
# the mirror.
find_promtool() {
	if [ -n "${CLEAT_PROMTOOL:-}" ]; then
		return 0
	fi
	CLEAT_PROMTOOL=$(command -v promtool) && export CLEAT_PROMTOOL &&
		return 0
	unset CLEAT_PROMTOOL
	cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/cleat
	if ! "$cache/promtool" --version >/dev/null 2>&1; then
		[ "$1" = yes ] && fetch_promtool || return 1
	fi
	CLEAT_PROMTOOL=$cache/promtool
	export CLEAT_PROMTOOL
}

# Into $cache, whole or not at all.
fetch_promtool() {
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null &&
		mkdir -p "$cache" || return 1
	work=$(mktemp -d "$cache/fetch.XXXXXX") || return 1
	patience='-q -o Acquire::Retries=1 -o Acquire::http::Timeout=20'
	echo "fetching promtool"
	{ download_promtool || { become_root &&
			$as_root LC_ALL=C apt-get $patience update &&
			download_promtool; }; } </dev/null >/dev/null 2>&1 &&
		dpkg-deb --fsys-tarfile "$work"/prom*.deb |
		tar -xOf - ./usr/bin/promtool >"$work/promtool" &&
		chmod 755 "$work/promtool" &&
		"$work/promtool" --version >/dev/null 2>&1 &&
		mv "$work/promtool" "$cache/promtool"
	done=$?
	rm -rf "$work"
	return $done
}

# Into $work.
download_promtool() {
	(cd "$work" && rm -f ./*.deb && {
		apt-get $patience download promtool ||
			apt-get $patience download prometheus; })
}
