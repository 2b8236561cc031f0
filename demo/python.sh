#!/bin/sh
# Runs python3 with pymongo, which is installed once into the user's cache.
set -eu

packages=${XDG_CACHE_HOME:-$HOME/.cache}/usage-exporter/python
if ! PYTHONPATH=$packages python3 -c 'import pymongo' 2>/dev/null; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$packages" 'pymongo>=4.10,<5'
fi
PYTHONPATH=$packages exec python3 "$@"
