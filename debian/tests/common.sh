# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What the tests of the installed packages have in common; to be sourced.
set -eu
# Anything here fails a test: it runs on a testbed that is thrown away.
conf=/etc/cleat/conf.d/autopkgtest.conf
ca=/etc/cleat/ca.pem

say() {
	echo "# $*"
}

die() {
	echo "FAILED: $*"
	journalctl --no-pager -u cleatd -u cleat-agent -n 30 2>&1 || :
	exit 1
}

# wait_for WHAT COMMAND...: until it succeeds, half a minute at most.
wait_for() {
	what=$1
	shift
	turns=0
	until "$@" >/dev/null 2>&1; do
		turns=$((turns + 1))
		[ $turns -lt 150 ] || die "no $what after half a minute"
		sleep 0.2
	done
	say "$what"
}

# A certificate of our own authority, and settings from standard input.
serve() {
	if [ ! -e $ca ]; then
		cleat-certmgr ca init -cn 'Test authority'
		cp /etc/cleat/ca/ca.pem $ca
		chmod 644 $ca
	fi
	if [ ! -e /etc/cleat/tls ]; then
		(cd /etc/cleat/ca && cleat-certmgr ca issue server localhost \
			-name 127.0.0.1 -out server)
		cleat-certmgr -cert /etc/cleat/ca/server.pem \
			-key /etc/cleat/ca/server.key \
			-directory /etc/cleat/tls -owner cleat:cleat
	fi
	{
		cat <<-'EOF'
			[plugin.cert]
			chain = /etc/cleat/tls/current/chain.pem
			key = /etc/cleat/tls/current/key.pem
			[presence]
			recovery = 1s
		EOF
		cat
	} >$conf
	cleatd --check-config >/dev/null
	systemctl restart cleatd
	wait_for readiness ready
}

ready() {
	cleatctl status --json | grep -Eq '"state": ?"ready"'
}

# state ENDPOINT: online, offline, ...
state() {
	cleatctl endpoint show "$1" --json |
		sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p'
}

is_online() {
	[ "$(state "$1")" = online ]
}

is_offline() {
	[ "$(state "$1")" = offline ]
}

# The agent of the package, under its unit, as a device that enrols by a token.
start_agent() {
	systemctl stop cleat-agent
	rm -rf /var/lib/cleat-agent/*
	cleatctl endpoint forget "$1" >/dev/null 2>&1 || :
	cp $ca /etc/cleat-agent/ca.pem
	cleatctl enrol token >/etc/cleat-agent/token
	chgrp cleat-agent /etc/cleat-agent/token
	chmod 640 /etc/cleat-agent/token
	cat >/etc/cleat-agent/agent.conf <<-EOF
		server = wss://localhost:8443
		endpoint = $1
		state-dir = /var/lib/cleat-agent
		ca = /etc/cleat-agent/ca.pem
		enrol-token-file = /etc/cleat-agent/token
		telemetry = /run/cleat-agent/telemetry
	EOF
	cleat-agent --config /etc/cleat-agent/agent.conf --check-config
	systemctl start cleat-agent
	wait_for "$1 online" is_online "$1"
}
