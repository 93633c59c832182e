#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tour in README.md, recorded: from installing the packages to purging them.
#
#	tests/package/tour.sh FIRST SECOND >tour.txt
#
# As root in a clean, booted Debian 12 of its own (a container does), in an empty
# folder; FIRST and SECOND hold the packages of two versions, nng-utils is
# installed.  What is printed goes between the fences of README.md, as it is.
set -u
first=$1 second=$2
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER= COLUMNS=118

# Of what apt says only what becomes of cleat, and what cleat says.
shown() {
	case $1 in
	apt-get*)	grep -E '^((Setting up|Removing|Purging .*for) cleat|cleat: )' ;;
	*)		cat ;;
	esac
}

t() {
	printf '# %s\n' "$1"
	eval "$1" 2>&1 | shown "$1" | sed -E 's/[[:space:]]+$//; /^$/d'
	echo
}

# Until it is so, half a minute at most.
until_so() {
	timeout 30 sh -c "until $1; do sleep 0.1; done" >/dev/null 2>&1 ||
		echo "FAILED: $1" >&2
}

# What a command hears on the bus while another one does something.
meanwhile() {
	printf '# %s &\n# %s\n' "$1" "$2"
	eval "$1" >heard 2>&1 &
	# It is connected.
	until_so "grep -q ' 03 .*/run/cleat/events.ipc' /proc/net/unix"
	eval "$2"
	wait
	cat heard
	echo
}

mkdir -p new
cp "$first"/cleat_*.deb "$first"/cleat-agent_*.deb .
cp "$second"/cleat_*.deb "$second"/cleat-agent_*.deb new

t 'apt-get install -y ./cleat_*.deb ./cleat-agent_*.deb'
t 'cleatctl status | head -5'
t 'echo 127.0.0.1 fleet.example.org >>/etc/hosts'
t 'cleat-certmgr ca init --cn "Example CA"'
t 'cleat-certmgr ca issue server fleet.example.org'
t 'cleat-certmgr -cert fleet.example.org.pem -key fleet.example.org.key'
t 'cat >/etc/cleat/conf.d/certificate.conf <<END
[plugin.cert]
chain = /etc/cleat/tls/current/chain.pem
key = /etc/cleat/tls/current/key.pem
END'
t 'systemctl reload cleatd && cleat-certmgr -wait-live'
t 'install -m 640 -g cleat-agent /etc/cleat/ca/ca.pem /etc/cleat-agent/ca.pem'
t 'cleatctl enrol token | install -m 640 -g cleat-agent /dev/stdin /etc/cleat-agent/token'
t 'cat >>/etc/cleat-agent/agent.conf <<END
server = wss://fleet.example.org:8443
endpoint = lamp-1
ca = /etc/cleat-agent/ca.pem
enrol-token-file = /etc/cleat-agent/token
END'
t 'systemctl enable --now cleat-agent'
until_so 'cleatctl endpoints --state online | grep -q lamp-1'
t 'cleatctl endpoints'
t "nngcat --req --dial ipc:///run/cleat/snapshot.ipc --data '{\"get\":\"endpoints\"}' --ascii; echo"
meanwhile 'timeout 5 nngcat --sub --subscribe endpoint. --dial ipc:///run/cleat/events.ipc --quoted' \
	'systemctl restart cleat-agent'
t 'cleat-certmgr ca issue server fleet.example.org --out renewed'
t 'cleat-certmgr -cert renewed.pem -key renewed.key -wait-live; cleatctl cert | grep channels'
t "printf '[presence]\npinng = 1s\n' >/etc/cleat/conf.d/oops.conf; cleatctl reload; rm /etc/cleat/conf.d/oops.conf"
t 'apt-get install -y ./new/cleat_*.deb'
t 'cleatctl status | head -1; cleatctl endpoints'
t 'apt-get purge -y cleat cleat-agent'
t 'ls /etc/cleat /var/lib/cleat /run/cleat'
