#!/bin/sh
# Makes the certificates of test/platform/certificates.ts anew, in this folder. They are good from 2020 on for a hundred
# years, but for the one that must not be; the authorities' keys are thrown away.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

cat >"$work/config" <<CONFIG
[ca]
default_ca = here
[here]
database = $work/database
new_certs_dir = $work
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
CONFIG
: >"$work/database"

# sign AUTHORITY NAME LAST-YEAR [OPTION …]; reads the request
sign() {
  by=$1 name=$2 until=$3
  shift 3
  openssl ca -batch -notext -config "$work/config" -keyfile "$work/$by.key" -startdate 20200101000000Z \
    -enddate "${until}0101000000Z" -in /dev/stdin -out "$name.pem" "$@"
}

new_key() { openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

authority() {
  new_key "$work/$1.key"
  openssl req -new -key "$work/$1.key" -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE |
    sign "$1" "$1" 2120 -selfsign
}

# certificate NAME AUTHORITY DNS-NAME LAST-YEAR
certificate() {
  new_key "$1.key"
  openssl req -new -key "$1.key" -subj /CN=node -addext "subjectAltName=DNS:$3" |
    sign "$2" "$1" "$4" -cert "$2.pem"
}

authority our-authority
authority other-authority
certificate node our-authority penhold.test 2120
certificate other-name our-authority somebody.test 2120
certificate expired our-authority penhold.test 2021
certificate stranger other-authority penhold.test 2120
rm other-authority.pem
