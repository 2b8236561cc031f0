#!/bin/sh
# A LibreChat history in a real mongod, new chat messages, and the exporter beside it. Ctrl-C ends all.
set -eu
cd "$(dirname "$0")/.."

port=${METRICS_PORT:-8000}
messages=${DEMO_MESSAGES:-20000}
demo/prerequisites.sh
mongod=$(tests/mongod.sh)
cargo build --quiet
data=$(mktemp -d)
started=""
trap 'trap - EXIT; kill $started 2>/dev/null; wait; rm -rf "$data"' EXIT
trap 'exit 0' INT TERM

mongo_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
uri=mongodb://127.0.0.1:$mongo_port
"$mongod" --dbpath "$data" --bind_ip 127.0.0.1 --port "$mongo_port" --nounixsocket --quiet \
  --wiredTigerCacheSizeGB 0.25 >"$data/log" 2>&1 &
started=$!

echo "filling LibreChat's database with $messages messages of the last 60 days ..."
demo/python.sh demo/generate.py --uri "$uri" --messages "$messages" --days 60
demo/python.sh demo/generate.py --uri "$uri" --messages 0 --live 2 --seconds 86400 &
started="$started $!"

METRICS_PORT=$port METRICS_CACHE_TTL=${METRICS_CACHE_TTL:-5} MONGODB_URI=$uri STATE_FILE=$data/exporter/state \
  target/debug/usage-exporter &
exporter=$!
started="$started $exporter"
python3 - "http://127.0.0.1:$port/readyz" <<'PYTHON'
import sys, time, urllib.error, urllib.request

for _ in range(300):
    try:
        urllib.request.urlopen(sys.argv[1])
        break
    except (urllib.error.URLError, ConnectionError):
        time.sleep(0.2)
else:
    sys.exit("the exporter did not become ready")
PYTHON
cat <<TEXT

A LibreChat with $messages messages of the last 60 days is watched, and two new messages a second are coming in.

    http://localhost:$port          what runs, at a glance (in a browser)
    curl localhost:$port/metrics    the metrics

TEXT
if command -v docker >/dev/null; then
  cat <<TEXT
Prometheus and Grafana with the dashboards, on the past as it would have been scraped (in another terminal):

    MONGODB_URI=$uri METRICS_PORT=$port demo/monitoring.sh

TEXT
fi
echo "Ctrl-C ends the demo."
wait $exporter
