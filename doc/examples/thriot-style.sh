#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Sets up what Thriot's WebSocket service and its Linux client are, with cleat: a root
# authority of one's own, the host's certificate as PFX in a store, chosen there by
# its thumbprint, and devices that believe the root.
#
#	thriot-style.sh server DIRECTORY HOST PORT
#	thriot-style.sh device DIRECTORY ID
#
# The first makes DIRECTORY, which must not be there: pki/ (keep it off the host),
# store/ (the host's certificates) and server/.  The second is for a device that
# cleatd, which has to run, does not know yet; it makes devices/ID, to be copied to the
# device, which makes its key by itself and uses the one-time token once.
# ADDRESS in the environment is where the server listens, if not everywhere.
# cleat.conf(5), cleat-agent(1), cleatctl(1) and cleat-certificates(7) explain what
# stands in the files.
set -eu
umask 077

usage() {
	echo "usage: $0 server DIRECTORY HOST PORT" >&2
	echo "       $0 device DIRECTORY ID" >&2
	exit 2
}

# The root authority, as CreateRootCA does; its key is encrypted.
create_root() {
	openssl rand -hex 16 >pki/root.password
	openssl req -x509 -newkey rsa:3072 -days 3650 \
		-subj "/O=Example/CN=Example IoT Root CA" \
		-passout file:pki/root.password -keyout pki/root.key \
		-out pki/root.pem 2>/dev/null
}

# NAME: a certificate for the host, and a PFX with key, certificate and root.
create_host() {
	openssl req -new -newkey rsa:2048 -nodes -subj "/O=Example/CN=$1" \
		-keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
	openssl x509 -req -in "pki/$1.csr" -CA pki/root.pem \
		-CAkey pki/root.key -passin file:pki/root.password \
		-CAcreateserial -days 397 -extfile /dev/stdin \
		-out "pki/$1.pem" 2>/dev/null <<-END
		basicConstraints = CA:FALSE
		keyUsage = digitalSignature, keyEncipherment
		extendedKeyUsage = serverAuth
		subjectAltName = DNS:$1
	END
	openssl rand -hex 16 >server/pfx.password
	openssl pkcs12 -export -inkey "pki/$1.key" -in "pki/$1.pem" \
		-certfile pki/root.pem -passout file:server/pfx.password \
		-out "store/$1.pfx"
	rm "pki/$1.key" "pki/$1.csr"
}

server() {	# DIRECTORY HOST PORT
	mkdir "$1"
	cd "$1"
	mkdir pki store server devices
	create_root
	create_host "$2"
	thumbprint=$(openssl x509 -in "pki/$2.pem" -noout -fingerprint -sha1)
	cat >server/cleat.conf <<-END
		[daemon]
		state_dir = $PWD/server/state
		runtime_dir = $PWD/server/run

		[listener.public]
		address = ${ADDRESS:-*}:$3

		[slot.main]
		source = store
		names = $2
		default = yes

		[plugin.store]
		module = cert-file
		directory = $PWD/store
		choose = ${thumbprint#*=}
		key_passphrase = file:$PWD/server/pfx.password
		anchors = $PWD/pki/root.pem

		[plugin.endpoint]
		module = proto-endpoint
	END
	printf '%s\n' "wss://$2:$3" >server/url
	echo "All is in $PWD.  Start it with"
	echo "	cleatd -c $PWD/server/cleat.conf"
	echo "and make devices known with"
	echo "	$0 device $PWD ID"
}

device() {	# DIRECTORY ID
	cd "$1"
	mkdir "devices/$2"
	cleatctl --socket server/run/control.sock enrol token \
		--endpoint "$2" --expires 1d >"devices/$2/once"
	cp pki/root.pem "devices/$2/root.pem"
	cd "devices/$2"
	cat >agent.conf <<-END
		server = $(cat ../../server/url)
		endpoint = $2
		ca = $PWD/root.pem
		state-dir = $PWD/state
		enrol-token-file = $PWD/once
	END
	cleat-agent -c agent.conf --check-config
	echo "The device $2 is in $PWD.  Start it with"
	echo "	cleat-agent -c $PWD/agent.conf"
}

case ${1-}:$# in
server:4 | device:3) "$@" ;;
*) usage ;;
esac
