#!/bin/sh
# Makes certificates of every kind that people have, with the openssl of the command line, in the folder
# given: NAME.pem has a certificate and its key, NAME.crt the certificate alone.
set -eu
cd "$1"

# key NAME ARGUMENTS: a private key.
key() { name=$1; shift; openssl genpkey -quiet "$@" -out "$name.key" 2>/dev/null || openssl genpkey "$@" -out "$name.key" 2>/dev/null; }
# authority NAME SUBJECT: a root.
authority() {
  key "$1" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 3650 -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE
}
# leaf NAME SUBJECT AUTHORITY EXTENSIONS [ARGUMENTS]: what an authority has signed; `-` for X.509 v1.
leaf() {
  name=$1 subject=$2 by=$3 extensions=$4; shift 4
  [ -e "$name.key" ] || key "$name" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  openssl req -new -key "$name.key" -subj "/CN=$subject" -out "$name.csr"
  if [ "$extensions" = - ]; then set -- "$@"; else
    echo "$extensions" | tr ';' '\n' >"$name.ext"; set -- -extfile "$name.ext" "$@"
  fi
  openssl x509 -req -in "$name.csr" -CA "$by.crt" -CAkey "$by.key" -CAcreateserial -days 365 \
    -out "$name.crt" "$@" 2>/dev/null
  cat "$name.crt" "$name.key" >"$name.pem"
}
# dated NAME START END: a leaf of `root` from one date to another.
dated() {
  : >"$1.index"
  cat >"$1.cnf" <<END
[ca]
default_ca = it
[it]
database = $1.index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1,DNS:localhost
END
  key "$1" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  openssl ca -batch -notext -config "$1.cnf" -cert root.crt -keyfile root.key -in "$1.csr" -out "$1.crt" \
    -startdate "$2" -enddate "$3" 2>/dev/null
  cat "$1.crt" "$1.key" >"$1.pem"
}

here=subjectAltName=IP:127.0.0.1,DNS:localhost
authority root "Example root"
authority stranger "Another root"
leaf intermediate "Example intermediate" root "basicConstraints=critical,CA:TRUE"

# The usual one-liners.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 365 -addext "$here" \
  -keyout own.key -out own.crt 2>/dev/null
cat own.crt own.key >own.pem
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 365 \
  -keyout own-by-name.key -out own-by-name.crt 2>/dev/null
cat own-by-name.crt own-by-name.key >own-by-name.pem
leaf v1 localhost root -

leaf good localhost root "$here"
dated expired 20200101000000Z 20210101000000Z
dated future 20900101000000Z 20910101000000Z
leaf other-name db.example root subjectAltName=DNS:db.example,DNS:mongo.example
leaf wildcard wildcard root subjectAltName=DNS:*.localhost
leaf dns-only localhost root subjectAltName=DNS:localhost
leaf address-as-name 127.0.0.1 root basicConstraints=CA:FALSE
leaf for-clients localhost root "$here;extendedKeyUsage=clientAuth"
leaf below localhost intermediate "$here"
cat below.crt intermediate.crt below.key >below-chain.pem
cat below.crt root.crt intermediate.crt below.key >below-mixed.pem
cat below.crt intermediate.crt root.crt below.key >below-all.pem

for bits in 1024 2048 3072 4096; do
  key "rsa$bits" -algorithm RSA -pkeyopt "rsa_keygen_bits:$bits"; leaf "rsa$bits" localhost root "$here"
done
key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384; leaf p384 localhost root "$here"
key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521; leaf p521 localhost root "$here"
key ed25519 -algorithm ED25519; leaf ed25519 localhost root "$here"
key pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048; leaf pss localhost root "$here"
leaf sha1 localhost root "$here" -sha1

# Roots of odd kinds.
key root-v1 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
openssl req -new -key root-v1.key -subj "/CN=Old root" -out root-v1.csr
openssl x509 -req -in root-v1.csr -signkey root-v1.key -days 365 -out root-v1.crt 2>/dev/null
leaf under-v1 localhost root-v1 "$here"
key no-root -algorithm RSA -pkeyopt rsa_keygen_bits:2048
openssl req -x509 -new -key no-root.key -subj "/CN=No root" -addext basicConstraints=critical,CA:FALSE -out no-root.crt
leaf under-no-root localhost no-root "$here"

# Files of authorities.
cat stranger.crt root.crt >two.crt
{ echo "Bag Attributes"; echo "    friendlyName: root"; cat root.crt; echo; cat stranger.crt; } | sed 's/$/\r/' >crlf.crt
cat root.crt intermediate.crt >root-and-intermediate.crt
openssl x509 -in root.crt -outform DER -out der.crt

# Clients.
key client -algorithm RSA -pkeyopt rsa_keygen_bits:2048
leaf client exporter root extendedKeyUsage=clientAuth
openssl rsa -in client.key -traditional -out client-pkcs1.key 2>/dev/null
cat client.crt client-pkcs1.key >client-pkcs1.pem
openssl pkcs8 -topk8 -in client.key -passout pass:hunter2 -out client-locked.key
cat client.crt client-locked.key >client-locked.pem
openssl rsa -in client.key -traditional -aes256 -passout pass:hunter2 -out client-locked-pkcs1.key 2>/dev/null
cat client.crt client-locked-pkcs1.key >client-locked-pkcs1.pem
openssl ecparam -name prime256v1 -genkey -noout -out client-sec1.key
leaf client-sec1 exporter root extendedKeyUsage=clientAuth
sed 's/$/\r/' client.pem >client-crlf.pem
cat client.key client.crt >client-key-first.pem
cat client.crt own.key >client-mismatch.pem
leaf client-stranger exporter stranger extendedKeyUsage=clientAuth
leaf client-below exporter intermediate extendedKeyUsage=clientAuth
cat client-below.crt intermediate.crt client-below.key >client-below-chain.pem
cp expired.pem client-expired.pem
cp rsa1024.pem client-weak.pem
