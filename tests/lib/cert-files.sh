#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cert-files.sh DIR: certificates and keys of every format, key type and
# wrapping, and hostile ones, made with openssl and certtool.  DIR/manifest has
# a line for each case, fields separated by tabs:
#	good NAME PASSWORD FILES		goes live
#	bad NAME PASSWORD FILES TEXT		refused, and the line has TEXT
#	chain NAME PASSWORD FILES COUNT	goes live with COUNT certificates
# FILES are separated by commas and relative to DIR; PASSWORD "-" is none.
# All good ones are for the name cert.example.org.
set -eu
cd "$1"
name=cert.example.org
tab=$(printf '\t')
: >manifest

say() {
	(IFS=$tab; printf '%s\n' "$*") >>manifest
}
run() {
	"$@" >>log 2>&1 || { echo "failed: $*" >&2; tail -5 log >&2; exit 1; }
}
key() {			# NAME KIND
	case $2 in
	rsa) run openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
		-out "$1.key" ;;
	rsa1024) run openssl genpkey -algorithm RSA \
		-pkeyopt rsa_keygen_bits:1024 -out "$1.key" ;;
	pss) run openssl genpkey -algorithm RSA-PSS \
		-pkeyopt rsa_keygen_bits:2048 -out "$1.key" ;;
	ed25519 | ed448) run openssl genpkey -algorithm "$2" -out "$1.key" ;;
	*) run openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" \
		-pkeyopt ec_param_enc:named_curve -out "$1.key" ;;
	esac
}
# sign NAME ISSUER EXTENSIONS [more for openssl x509]
sign() {
	_n=$1 _i=$2 _e=$3
	shift 3
	printf '%b' "$_e" >"$_n.ext"
	run openssl req -new -key "$_n.key" -subj "/O=Test Org/OU=Unit/CN=$_n" \
		-out "$_n.csr"
	run openssl x509 -req -in "$_n.csr" -CA "$_i.pem" -CAkey "$_i.key" \
		-CAcreateserial -extfile "$_n.ext" -days 60 "$@" -out "$_n.pem"
}
server="basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
server="${server}subjectAltName=DNS:$name\n"
ca="basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n"

# ---- an authority of two levels, leaves of every key type
key root P-256
run openssl req -x509 -new -key root.key -subj "/CN=test root" -days 100 \
	-out root.pem
key inter P-256
sign inter root "$ca"
for kind in P-256 P-384 P-521 ed25519 rsa pss; do
	key "leaf-$kind" "$kind"
	sign "leaf-$kind" inter "$server"
	cat "leaf-$kind.pem" inter.pem >"chain-$kind.pem"
	say good "pem $kind" - "chain-$kind.pem,leaf-$kind.key"
	run openssl pkcs8 -topk8 -in "leaf-$kind.key" -passout pass:secret \
		-out "enc-$kind.key"
	say good "pkcs8 encrypted $kind" secret "chain-$kind.pem,enc-$kind.key"
	run openssl pkcs12 -export -inkey "leaf-$kind.key" -in \
		"leaf-$kind.pem" -certfile inter.pem -passout pass:secret \
		-out "all-$kind.pfx"
	say chain "pkcs12 $kind" secret "all-$kind.pfx" 2
done
l=leaf-rsa e=leaf-P-256

# ---- formats and wrappings
run openssl x509 -in $e.pem -outform DER -out leaf.cer
run openssl x509 -in inter.pem -outform DER -out inter.crt
run openssl pkey -in $e.key -outform DER -out key.der
say good "single DER" - leaf.cer,$e.key
say chain "DER, one file each" - leaf.cer,inter.crt,key.der 2
run openssl crl2pkcs7 -nocrl -certfile chain-P-256.pem -out chain.p7b
run openssl crl2pkcs7 -nocrl -certfile chain-P-256.pem -outform DER \
	-out chain.p7c
say chain "pkcs7 PEM" - chain.p7b,$e.key 2
say chain "pkcs7 DER" - chain.p7c,$e.key 2
sed 's/PKCS7/CMS/' chain.p7b >cms.pem
say chain "pkcs7 in CMS armour" - cms.pem,$e.key 2
cat $e.key chain-P-256.pem >one.txt
say chain "key and chain in one" - one.txt 2
cat root.pem inter.pem $e.key $e.pem inter.pem >order.pem
say chain "wrong order, twice the same" - order.pem 3
cat chain-P-256.pem leaf-rsa.pem >stray.pem
say chain "a stray" - stray.pem,$e.key 2
run openssl pkey -in $l.key -traditional -out trad.rsa
say good "traditional RSA" - chain-rsa.pem,trad.rsa
run openssl pkey -in $e.key -traditional -out trad-ec.key
say good "traditional EC" - chain-P-256.pem,trad-ec.key
run openssl ecparam -name P-256 -out param.pem
cat param.pem trad-ec.key >param.key
say good "EC parameters before" - chain-P-256.pem,param.key
for c in aes128 aes256 des3; do
	run openssl rsa -in $l.key -traditional -$c -passout pass:secret \
		-out "dek-$c.rsa"
	say good "DEK-Info $c" secret "chain-rsa.pem,dek-$c.rsa"
done
run openssl ec -in $e.key -aes128 -passout pass:secret -out dek-ec.key
say good "DEK-Info EC" secret chain-P-256.pem,dek-ec.key
for v in aes-128-cbc aes-256-cbc des3; do
	run openssl pkcs8 -topk8 -v2 $v -in $l.key -passout pass:secret \
		-out "v2-$v.pk8"
	say good "pkcs8 $v" secret "chain-rsa.pem,v2-$v.pk8"
done
run openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in $l.key -passout pass:secret \
	-out v1.pk8
say good "pkcs8 PBE-SHA1-3DES" secret chain-rsa.pem,v1.pk8
run openssl pkcs8 -topk8 -in $e.key -outform DER -passout pass:secret \
	-out enc.der
say good "pkcs8 encrypted DER" secret chain-P-256.pem,enc.der
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem \
	-passout pass: -out empty.p12
say chain "pkcs12 with an empty password" - empty.p12 2
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem \
	-passout pass:secret -nomac -out nomac.p12
say chain "pkcs12 without MAC" secret nomac.p12 2
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem \
	-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 \
	-passout pass:secret -out old.p12
say chain "pkcs12 3DES SHA-1" secret old.p12 2
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem \
	-keypbe NONE -certpbe NONE -passout pass:secret -out plain.p12
say chain "pkcs12 not encrypted" secret plain.p12 2
run certtool --to-p12 --load-privkey $l.key --load-certificate chain-rsa.pem \
	--outder --p12-name x --password secret --outfile tool.p12
say chain "pkcs12 of certtool" secret tool.p12 2
run certtool --load-privkey $l.key --to-p8 --password secret --outfile tool.pk8
say good "pkcs8 of certtool" secret chain-rsa.pem,tool.pk8
run openssl x509 -in $e.pem -trustout -addtrust serverAuth -out trusted.pem
say good "TRUSTED CERTIFICATE" - trusted.pem,$e.key
sed 's/$/\r/' one.txt >crlf.pem
say chain "CRLF" - crlf.pem 2
{ printf '\357\273\277text before\n'; cat one.txt; echo "and after"; } >bom.pem
say chain "byte order mark and text" - bom.pem 2
{ printf '\377\376'; iconv -f ASCII -t UTF-16LE one.txt; } >utf16.pem
say chain "UTF-16" - utf16.pem 2
{ printf '%s' "-----BEGIN CERTIFICATE-----"; openssl x509 -in $e.pem \
	-outform DER | base64 -w0; echo "-----END CERTIFICATE-----"; } >line.pem
say good "base64 in one line" - line.pem,$e.key
base64 leaf.cer >bare.txt
say good "base64 without armour" - bare.txt,$e.key
cp all-rsa.pfx misnamed.pem
say chain "the name does not matter" secret misnamed.pem 2
cat chain-rsa.pem chain-P-256.pem $l.key $e.key >both.pem
say good "RSA and ECDSA in one" - both.pem

cat leaf.cer inter.crt >two.cer
say chain "DER, one after the other" - two.cer,$e.key 2
{ printf '\0'; cat one.txt; } >nul.pem
say chain "a NUL before" - nul.pem 2
# Java writes EC keys without their public half (RFC 5915: OPTIONAL).
run openssl ec -in $e.key -no_public -out half.key
say good "EC without public half" - chain-P-256.pem,half.key
say good "EC without public half first" - half.key,chain-P-256.pem
run openssl pkcs8 -topk8 -nocrypt -in half.key -out half.pk8
say good "PKCS#8 EC without public half" - chain-P-256.pem,half.pk8
run openssl pkcs8 -topk8 -in half.key -passout pass:secret -out half-enc.pk8
say good "encrypted EC without public half" secret chain-P-256.pem,half-enc.pk8
run openssl pkcs8 -topk8 -in half.key -v2 des3 -v2prf hmacWithSHA1 \
	-passout pass:secret -out half-des.pk8
say good "3DES EC without public half" secret chain-P-256.pem,half-des.pk8

# ---- refused: files
: >empty.pem
say bad empty - "empty.pem,$e.key" "is empty"
head -c 5000 /dev/urandom | tr -d '0-' >garbage.bin
say bad garbage - "garbage.bin,$e.key" "neither"
{ printf '\376\355\376\355'; head -c 100 /dev/zero; } >java.jks
say bad "Java keystore" - "java.jks,$e.key" "keytool"
run openssl cms -encrypt -in log -outform DER -out mail.p7m $e.pem
say bad "encrypted PKCS#7" - "mail.p7m,$e.key" "another kind"
head -c 10485760 /dev/zero | tr '\0' x >big.pem
say bad "10 MB" - "big.pem,$e.key" "neither"
{ head -c 10485760 /dev/zero | tr '\0' A | sed \
	's/^/-----BEGIN CERTIFICATE-----/'; echo "-----END CERTIFICATE-----"
} >big2.pem
say bad "10 MB of base64" - "big2.pem,$e.key" "neither"
truncate -s 17M huge.pem
say bad "17 MB" - "huge.pem,$e.key" "larger than"
mkdir -p directory
say bad directory - "directory,$e.key" "is a directory"
[ -p fifo ] || mkfifo fifo
say bad FIFO - "fifo,$e.key" "not a regular file"
say bad /dev/zero - "/dev/zero,$e.key" "not a regular file"
say bad missing - "nothing.pem,$e.key" "No such file"
cp $e.key unreadable.key
chmod 0 unreadable.key
# Who reads it must not be root with all its might.
say bad unreadable - "chain-P-256.pem,unreadable.key" "Permission denied"
head -c 500 $e.pem >cut.pem
say bad "truncated PEM" - "cut.pem,$e.key" "is cut off"
head -c 300 leaf.cer >cut.cer
say bad "truncated DER" - "cut.cer,$e.key" "is cut off"
head -c 900 all-rsa.pfx >cut.pfx
say bad "truncated pkcs12" secret cut.pfx "is cut off"
sed '5s/^..../@@@@/' $e.pem >damaged.pem
say bad "damaged base64" - "damaged.pem,$e.key" "not base64"
say bad "a request" - "$e.csr,$e.key" "request"
run openssl pkey -in $e.key -pubout -out public.pem
say bad "a public key" - "chain-P-256.pem,public.pem" "public key"

# ---- refused: passwords and keys
say bad "wrong password" wrong all-rsa.pfx "password"
say bad "no password" - all-rsa.pfx "password"
say bad "wrong password of pkcs8" wrong "chain-rsa.pem,enc-rsa.key" "password"
say bad "no password of pkcs8" - "chain-rsa.pem,enc-rsa.key" "password"
say bad "wrong password of DEK-Info" wrong "chain-rsa.pem,dek-aes128.rsa" \
	"password"
say bad "no password of DEK-Info" - "chain-rsa.pem,dek-aes128.rsa" "password"
say bad "key of another" - "chain-rsa.pem,$e.key" "belongs to no certificate"
say bad "no key" - "chain-rsa.pem" "no private key"
say bad "no certificate" - "$e.key" "no certificate"
run openssl pkcs8 -topk8 -scrypt -in $e.key -passout pass:secret -out scrypt.key
say bad scrypt secret "chain-P-256.pem,scrypt.key" "scrypt"

say bad "EC without public half, of another" - leaf-rsa.pem,half.key \
	"has no public half"
say bad "EC without public half, wrong password" wrong \
	chain-P-256.pem,half-enc.pk8 "password"
run openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 \
	-out k256.key
say bad "another curve" - "chain-P-256.pem,k256.key" \
	"curve that is not supported"
run openssl ec -in $e.key -param_enc explicit -out explicit.key
say bad "a curve spelled out" - "chain-P-256.pem,explicit.key" "spelled out"
sed 's/^DEK-Info: [^,]*/DEK-Info: ARIA-128-CBC/' dek-aes128.rsa >aria.rsa
say bad "DEK-Info of another cipher" secret "chain-rsa.pem,aria.rsa" \
	"ARIA-128-CBC, which is not supported"

# ---- refused: counts that would take for ever
run openssl pkcs8 -topk8 -in $e.key -outform DER -passout pass:secret \
	-out count.pk8
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem -nomac \
	-certpbe NONE -passout pass:secret -out count-key.p12
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem -keypbe NONE \
	-certpbe NONE -macalg sha256 -passout pass:secret -out count-mac.p12
cp count.pk8 count2.pk8
cp count.pk8 count3.pk8
cat >recount.py <<'P'
"""Writes DER files anew with another count in place of each 2048."""
import sys

count = int(sys.argv[1]).to_bytes(4, 'big')


def parts(data):
    at = 0
    while at < len(data):
        tag, n = data[at], data[at + 1]
        at += 2
        if n > 0x80:
            k = n & 0x7f
            n = int.from_bytes(data[at:at + k], 'big')
            at += k
        yield tag, data[at:at + n]
        at += n


def whole(data):
    """Whether a string has one SEQUENCE in it and nothing else."""
    try:
        found = list(parts(data))
    except IndexError:
        return False
    return len(found) == 1 and found[0][0] == 0x30 and \
        put(*found[0]) == data


def put(tag, body):
    n = len(body)
    size = bytes([n]) if n < 128 else b'\x82' + n.to_bytes(2, 'big') \
        if n > 255 else bytes([0x81, n])
    return bytes([tag]) + size + body


def change(data):
    out = b''
    for tag, body in parts(data):
        if tag & 0x20 or (tag == 4 and whole(body)):
            body = change(body)
        elif tag == 2 and body == b'\x08\x00':
            body = count
        out += put(tag, body)
    return out


for path in sys.argv[2:]:
    with open(path, 'rb') as f:
        old = f.read()
    new = change(old)
    assert new != old, path
    with open(path, 'wb') as f:
        f.write(new)
P
run "${PYTHON3:-python3}" recount.py 2147483646 count.pk8 count-key.p12 \
	count-mac.p12
run "${PYTHON3:-python3}" recount.py 2147483647 count2.pk8
say bad "an absurd PBKDF2 count" secret chain-P-256.pem,count2.pk8 \
	"times"
say bad "PBKDF2 count of a key" secret chain-P-256.pem,count.pk8 "times"
say bad "PBKDF2 count in pkcs12" secret count-key.p12 "times"
say bad "MAC count of pkcs12" secret count-mac.p12 "times"

run "${PYTHON3:-python3}" recount.py 4294967294 count3.pk8
say bad "a count of 32 bits" secret chain-P-256.pem,count3.pk8 "times"
run openssl pkcs8 -topk8 -in $e.key -outform DER -passout pass:secret \
	-v2prf hmacWithSHA512 -iter 1700000 -out slow.pk8
say bad "a slow hash counts more" secret chain-P-256.pem,slow.pk8 "times"
run openssl pkcs8 -topk8 -in $e.key -outform DER -passout pass:secret \
	-v2prf hmacWithSHA512 -iter 200000 -out slow2.pk8
say good "a usual count of a slow hash" secret chain-P-256.pem,slow2.pk8
run openssl pkcs8 -topk8 -in $e.key -outform DER -passout pass:secret \
	-v2prf hmacWithMD5 -out md5.pk8
say bad "a hash of unknown price" secret chain-P-256.pem,md5.pk8 "HMAC-SHA256"
run openssl pkcs12 -export -inkey $e.key -in chain-P-256.pem -macalg md5 \
	-passout pass:secret -out md5.p12
say bad "MAC of MD5" secret md5.p12 "MD5, which is not supported"
run openssl pkcs8 -topk8 -in $e.key -passout pass:secret -v2 aes-256-cfb \
	-out cfb.pk8
say bad "unknown cipher" secret chain-P-256.pem,cfb.pk8 "is encrypted with"

# ---- refused: keys that would take for ever
run openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
	-pkeyopt rsa_keygen_pubexp:73786976294838206465 -out odd.key
run openssl req -x509 -new -key odd.key -subj "/CN=odd" -days 100 -out odd.pem
say bad "a long exponent" - odd.pem,odd.key "takes too long to use"

# ---- refused: what the library would let pass
# dated NAME FROM TO: openssl x509 would count days from now, and not every
# release of it takes fewer than none.
rm -rf db && mkdir db && : >db/index && echo 01 >db/serial
printf '%s\n' '[ca]' 'default_ca=d' '[d]' 'database=db/index' \
	'serial=db/serial' 'new_certs_dir=db' 'policy=p' 'default_md=sha256' \
	'[p]' 'commonName=supplied' >ca.cnf
printf '%b' "$server" >dated.ext
dated() {
	key "$1" P-256
	run openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
	run openssl ca -batch -config ca.cnf -cert inter.pem \
		-keyfile inter.key -startdate "$2" -enddate "$3" -notext \
		-extfile dated.ext -in "$1.csr" -out "$1.pem"
}
dated past 20200101000000Z 20210101000000Z
say bad expired - past.pem,past.key "expired"
dated future 20450101000000Z 20460101000000Z
say bad "not yet valid" - future.pem,inter.pem,future.key "not valid before"
say bad "CA as leaf" - inter.pem,root.pem,inter.key "authority's"
cat $e.pem root.pem >gap.pem
say bad "no intermediate" - gap.pem,$e.key "missing"
say bad "the wrong intermediate" - $e.pem,here.pem,$e.key "missing"
key client P-256
sign client inter "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth
subjectAltName=DNS:$name\n"
say bad "for clients" - client.pem,inter.pem,client.key "serverAuth"
key nosign P-256
sign nosign inter "basicConstraints=CA:FALSE\nkeyUsage=keyAgreement
subjectAltName=DNS:$name\n"
say bad "may not sign" - nosign.pem,inter.pem,nosign.key "digitalSignature"
key sha1 P-256
sign sha1 inter "$server" -sha1
say bad SHA-1 - sha1.pem,inter.pem,sha1.key "weak algorithm"
key weak rsa1024
sign weak inter "$server"
say bad "RSA 1024" - weak.pem,inter.pem,weak.key "1024 bits"
key other P-256
sign other inter "basicConstraints=CA:FALSE
subjectAltName=DNS:other.example.org\n"
say bad "another name" - other.pem,inter.pem,other.key "not for the name"
key staple P-256
sign staple inter "${server}tlsfeature=status_request\n"
say bad Must-Staple - staple.pem,inter.pem,staple.key "Must-Staple"

# ---- what others sign, and how
for bits in 384 512; do
	run openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 \
		-pkeyopt "rsa_pss_keygen_md:sha$bits" \
		-pkeyopt "rsa_pss_keygen_mgf1_md:sha$bits" \
		-pkeyopt "rsa_pss_keygen_saltlen:$((bits / 8))" \
		-out "pss$bits.key"
	sign "pss$bits" inter "$server" "-sha$bits"
	say good "RSA-PSS for SHA-$bits alone" - \
		"pss$bits.pem,inter.pem,pss$bits.key"
done
# authority NAME EXTENSIONS: an intermediate and a leaf below it
authority() {
	key "$1" P-256
	sign "$1" root "$ca$2"
	key "of-$1" P-256
	sign "of-$1" "$1" "$server"
}
authority for-clients "extendedKeyUsage=clientAuth\n"
say bad "authority for clients" - \
	of-for-clients.pem,for-clients.pem,of-for-clients.key \
	"may not certify TLS servers"
authority for-servers "extendedKeyUsage=serverAuth\n"
say good "authority for servers" - \
	of-for-servers.pem,for-servers.pem,of-for-servers.key
authority elsewhere "nameConstraints=critical,permitted;DNS:example.net\n"
say bad "name constraints" - \
	of-elsewhere.pem,elsewhere.pem,of-elsewhere.key \
	"name constraints"
authority here "nameConstraints=critical,permitted;DNS:example.org\n"
say good "name constraints that are kept" - \
	of-here.pem,here.pem,of-here.key
# one further up
key between P-256
sign between elsewhere "$ca"
key far P-256
sign far between "$server"
cat far.pem between.pem elsewhere.pem root.pem >far-chain.pem
say bad "name constraints further up" - \
	far-chain.pem,far.key "name constraints"
authority odd-ca "1.2.3.4.5=critical,DER:0500\n"
say bad "a critical extension of an issuer" - \
	of-odd-ca.pem,odd-ca.pem,of-odd-ca.key \
	"critical extension that clients do not know (1.2.3.4.5)"
authority policy "policyConstraints=critical,requireExplicitPolicy:5\n"
say good "policy constraints" - of-policy.pem,policy.pem,of-policy.key
key odd-leaf P-256
sign odd-leaf inter "${server}1.2.3.4.5=critical,DER:0500\n"
say bad "a critical extension" - odd-leaf.pem,inter.pem,odd-leaf.key \
	"critical extension"
key nosan P-256
printf 'basicConstraints=CA:FALSE\n' >nosan.ext
run openssl req -new -key nosan.key -subj "/CN=$name" -out nosan.csr
run openssl x509 -req -in nosan.csr -CA inter.pem -CAkey inter.key \
	-CAcreateserial -extfile nosan.ext -days 60 -out nosan.pem
say bad "name in the CN alone" - nosan.pem,inter.pem,nosan.key \
	"not for the name"
# Twelve levels and sixteen: a chain has sixteen certificates at most.
cp root.pem deep0.pem
cp root.key deep0.key
cp root.pem deep.pem
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	key "deep$i" P-256
	sign "deep$i" "deep$((i - 1))" "$ca"
	cat "deep$i.pem" >>deep.pem
	case $i in 14 | 16)
		key "end$i" P-256
		sign "end$i" "deep$i" "$server"
		cat deep.pem >"deeps$i.pem"
	esac
done
say chain "a long chain" - end14.pem,deeps14.pem,end14.key 16
say bad "a chain too long" - end16.pem,deeps16.pem,end16.key "too long"

# An intermediate of the same name and key id, but another key.
key fake P-256
run openssl req -new -key fake.key -subj "/O=Test Org/OU=Unit/CN=inter" \
	-out fake.csr
id=$(openssl x509 -in inter.pem -noout -ext subjectKeyIdentifier 2>/dev/null |
	tail -1 | tr -d ' :')
printf '%b' "$ca" >fake.ext
[ -z "$id" ] || echo "subjectKeyIdentifier=$id" >>fake.ext
run openssl x509 -req -in fake.csr -CA root.pem -CAkey root.key \
	-CAcreateserial -extfile fake.ext -days 60 -out fake.pem
say bad "issuer of the same name" - "$e.pem,fake.pem,$e.key" "not signed by"
key below P-256
printf '%b' "$server" >below.ext
run openssl req -new -key below.key -subj "/CN=below" -out below.csr
run openssl x509 -req -in below.csr -CA $e.pem -CAkey $e.key -CAcreateserial \
	-extfile below.ext -days 60 -out below.pem
say bad "issued by no authority" - below.pem,chain-P-256.pem,below.key \
	"no authority's"
