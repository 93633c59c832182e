# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# For ./check and ./quickstart, to be sourced in the top folder:
# need_packages KIND... installs what build-packages.list names and what is
# not there, as root or through sudo.  When it may not, it says what is
# missing and fails.  On a system without dpkg it leaves that to configure.

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

	if [ "$(id -u)" = 0 ]; then
		as_root='env'
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root='sudo -n env'
	elif command -v sudo >/dev/null && [ -t 0 ]; then
		as_root='sudo env'
	else
		echo "missing Debian packages; as root run:" >&2
		echo "    apt-get install --no-install-recommends$missing" >&2
		return 1
	fi
	echo "installing:$missing"
	apt="$as_root DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y"
	apt="$apt -o DPkg::Lock::Timeout=300"
	mkdir -p build
	if ! { $apt update && $apt install --no-install-recommends $missing
		} </dev/null >build/packages.log 2>&1; then
		tail -n 20 build/packages.log >&2
		echo "installing packages failed (build/packages.log)" >&2
		return 1
	fi
}
