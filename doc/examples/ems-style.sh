#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Sets up what a ThingWorx EMS and its platform are, with cleat, in the medium or the
# high security of the EMS's manual; what had been the EMS is taken over from its
# config.json.  Everything is below DIRECTORY, which must not be there:
#
#	pki/	the company's authority: root, issuing authority, certificates
#	fleet/	the authority of devices (cleat-certmgr ca), in high security
#	ems/	config.json, as the EMS had it
#	server/	cleatd: the platform's listener, and the one for devices on site
#	device/	cleat-agent in the place of the EMS
#	site/	cleat-agent of a device behind it (an LSR was here)
#
# PORT is the platform's, SITE_PORT that of the listener on site (127.0.0.1).
# ADDRESS in the environment is where the platform's listens, if not everywhere.
# cleat.conf(5), cleat-agent(1), cleatctl(1), cleat-certmgr(1) and
# cleat-certificates(7) explain what stands in the files.
set -eu
umask 077

if [ $# -ne 5 ] || { [ "$2" != medium ] && [ "$2" != high ]; }; then
	echo "usage: $0 DIRECTORY medium|high HOST PORT SITE_PORT" >&2
	exit 2
fi
mkdir "$1"
cd "$1"
dir=$PWD level=$2 host=$3 port=$4 site_port=$5
mkdir pki ems server server/conf.d server/state device device/state site

random() {
	openssl rand -hex 16
}

# ---- the company's authority: a root, an issuing authority, servers -----------------

new_key() {	# NAME SUBJECT
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
}

sign() {	# NAME ISSUER DAYS, extensions on standard input
	openssl x509 -req -in "pki/$1.csr" -CA "pki/$2.pem" \
		-CAkey "pki/$2.key" -CAcreateserial -days "$3" \
		-extfile /dev/stdin -out "pki/$1.pem" 2>/dev/null
	rm "pki/$1.csr"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-days 3650 -subj "/O=Example/CN=Example Root CA" \
	-keyout pki/root.key -out pki/root.pem 2>/dev/null
new_key issuing "/O=Example/OU=PKI/CN=Example Issuing CA"
sign issuing root 1825 <<-END
	basicConstraints = critical, CA:TRUE, pathlen:0
	keyUsage = critical, keyCertSign, cRLSign
END
new_key platform "/O=Example/OU=Fleet/CN=$host"
sign platform issuing 397 <<-END
	basicConstraints = CA:FALSE
	extendedKeyUsage = serverAuth
	subjectAltName = DNS:$host
END
new_key site "/O=Example/OU=Site/CN=site"
sign site issuing 397 <<-END
	basicConstraints = CA:FALSE
	extendedKeyUsage = serverAuth
	subjectAltName = IP:127.0.0.1
END

# The EMS had its key encrypted, and the chain in the file of the certificate.
passphrase=$(random)
cat pki/site.pem pki/issuing.pem >ems/site.pem
printf '%s\n' "$passphrase" >pki/passphrase
openssl pkcs8 -topk8 -in pki/site.key -passout file:pki/passphrase \
	-out ems/site.key
rm pki/site.key pki/passphrase

# ---- the authority of devices ----------------------------------------------------------

if [ "$level" = high ]; then
	random >fleet-password
	cleat-certmgr ca init --directory fleet --cn "Fleet CA" --o Example \
		--pass-file fleet-password
	for name in ems-1 lsr-1; do
		cleat-certmgr ca issue client $name --directory fleet \
			--o Example --ou Plant --pass-file fleet-password \
			--out "fleet/$name"
	done
	cleat-certmgr ca crl --directory fleet --pass-file fleet-password \
		--out server/fleet.crl
	cp fleet/ca.pem server/fleet.pem
	mv fleet/ems-1.pem fleet/ems-1.key device
	mv fleet/lsr-1.pem fleet/lsr-1.key site
fi

# ---- what the EMS had --------------------------------------------------------------------

app_key=$(random)
cp pki/root.pem ems/ca.pem
if [ "$level" = medium ]; then
	certificates='"allow_self_signed": true,'
else
	fingerprint=$(openssl x509 -in site/lsr-1.pem -noout -fingerprint \
		-sha256)
	certificates="\"allow_self_signed\": false,
		\"client_cert\": \"$dir/device/ems-1.pem\",
		\"key_file\": \"$dir/device/ems-1.key\",
		\"http_client_ca_certs\": \"$dir/server/fleet.pem\",
		\"fingerprint_allowlist\": [ \"${fingerprint#*=}\" ],
		\"validation_criteria\": {
			\"Cert_Common_Name\": \"$host\",
			\"Cert_Organization\": \"Example\",
			\"Cert_Organizational_Name\": \"Fleet\",
			\"CA_Cert_Common_Name\": \"Example Issuing CA\",
			\"CA_Cert_Organization\": \"Example\",
			\"CA_Cert_Organizational_Name\": \"PKI\"
		},"
fi
cat >ems/config.json <<END
// config.json of the EMS ($level security)
{
	"ws_servers": [ { "host": "$host", "port": $port } ],
	"appKey": "$app_key",
	"ws_connection": { "encryption": "ssl" },
	/* For the LSR. */
	"http_server": {
		"host": "127.0.0.1",
		"port": $site_port,
		"ssl": true,
		"certificate": "$dir/ems/site.pem",
		"private_key": "$dir/ems/site.key",
		"passphrase": "$passphrase",
		"authenticate": true,
		"user": "lsr",
		"password": "$(random)"
	},
	"certificates": {
		"validate": true,
		$certificates
		"cert_chain": "$dir/ems/ca.pem"
	},
	"auto_bind": [ { "name": "ems-1", "gateway": true } ]
}
END

# ---- taken over -----------------------------------------------------------------------------

cleatctl import wsems ems/config.json --output device/agent.conf \
	--listener server/conf.d/wsems.conf --state-dir "$dir/device/state" \
	--key-file "$dir/server/state/secret.key"

# ---- the platform ---------------------------------------------------------------------------

cleat-certmgr -cert pki/platform.pem -cert pki/issuing.pem \
	-key pki/platform.key --anchors pki/root.pem --name "$host" \
	--directory server/tls
cat >server/cleat.conf <<END
[daemon]
state_dir = $dir/server/state
runtime_dir = $dir/server/run

[listener.platform]
address = ${ADDRESS:-*}:$port

[slot.platform]
source = cert
names = $host

[plugin.cert]
module = cert-file
chain = $dir/server/tls/current/chain.pem
key = $dir/server/tls/current/key.pem

[plugin.endpoint]
module = proto-endpoint

[auth]
token_file = $dir/server/tokens
END

token() {	# ENDPOINT TOKEN: a line of token_file
	printf '%s %s\n' "$1" "$(printf %s "$2" | sha256sum | cut -d' ' -f1)"
}

# ---- who may come ----------------------------------------------------------------------------

cat >site/agent.conf <<END
server = wss://127.0.0.1:$site_port
endpoint = lsr-1
ca = $dir/ems/ca.pem
END
if [ "$level" = medium ]; then
	lsr_token=$(random)
	printf '%s\n' "$lsr_token" >site/token
	echo "token-file = $dir/site/token" >>site/agent.conf
	{ token ems-1 "$app_key"; token lsr-1 "$lsr_token"; } >server/tokens
else
	: >server/tokens
	cat >>site/agent.conf <<-END
		cert = $dir/site/lsr-1.pem
		key = $dir/site/lsr-1.key
		subject-ou = Site
		issuer-cn = Example Issuing CA
	END
	cat >server/conf.d/high.conf <<-END
		[listener.platform]
		client_auth = required
		ca_file = $dir/server/fleet.pem
		crl_file = $dir/server/fleet.crl
		subject_o = Example
		subject_ou = Plant
		issuer_cn = Fleet CA

		[listener.wsems]
		crl_file = $dir/server/fleet.crl
	END
fi

cleat-agent -c device/agent.conf --check-config
cleat-agent -c site/agent.conf --check-config
cat <<END
All is in $dir.  Start it with
	cleatd -c $dir/server/cleat.conf
	cleat-agent -c $dir/device/agent.conf
	cleat-agent -c $dir/site/agent.conf
and look at it with
	cleatctl --socket $dir/server/run/control.sock endpoints
END
