#!/bin/sh
# Prometheus and Grafana in Docker beside the running demo, with the dashboards, the alerts and the past that
# `usage-exporter history` tells. Ctrl-C ends both. The demo prints the command with its MONGODB_URI.
set -eu
cd "$(dirname "$0")/.."

: "${MONGODB_URI:?the MongoDB of the demo}"
port=${METRICS_PORT:-8000}
prometheus=prom/prometheus:v3.5.0
grafana=grafana/grafana:12.1.0

folder=$(mktemp -d)
trap 'trap - EXIT; docker rm --force usage-exporter-prometheus usage-exporter-grafana >/dev/null 2>&1; rm -rf "$folder"' EXIT
trap 'exit 0' INT TERM
mkdir "$folder/data" "$folder/grafana"
# Both images run as users of their own.
chmod 755 "$folder"
chmod 777 "$folder/data"

echo "writing the past ..."
yesterday=$(date -u -d yesterday +%Y-%m-%d)
target/debug/usage-exporter history --to "$yesterday" \
  --label job=librechat --label "instance=localhost:$port" >"$folder/history.om"
docker run --rm --volume "$folder:/past" --entrypoint promtool "$prometheus" \
  tsdb create-blocks-from --max-block-duration=768h openmetrics /past/history.om /past/data >/dev/null

cat >"$folder/prometheus.yml" <<YAML
global: { scrape_interval: 5s, evaluation_interval: 15s }
rule_files: [rules.yml]
scrape_configs:
  - job_name: librechat
    static_configs:
      - targets: ["localhost:$port"]
YAML
cp alerts/rules.yml "$folder/rules.yml"
cp -r packaging/grafana/dashboards "$folder/grafana/dashboards"
mkdir "$folder/grafana/datasources"
sed 's/prometheus:9090/localhost:9090/' packaging/grafana/datasources/prometheus.yml \
  >"$folder/grafana/datasources/prometheus.yml"
docker run --detach --network host --name usage-exporter-prometheus \
  --volume "$folder/prometheus.yml:/etc/prometheus/prometheus.yml:ro" \
  --volume "$folder/rules.yml:/etc/prometheus/rules.yml:ro" --volume "$folder/data:/prometheus" \
  "$prometheus" --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.retention.time=2y >/dev/null
docker run --detach --network host --name usage-exporter-grafana \
  --env GF_AUTH_ANONYMOUS_ENABLED=true --env GF_AUTH_ANONYMOUS_ORG_ROLE=Admin \
  --env GF_ANALYTICS_REPORTING_ENABLED=false \
  --volume "$folder/grafana:/etc/grafana/provisioning:ro" \
  --volume "$PWD/dashboards:/var/lib/grafana/dashboards:ro" "$grafana" >/dev/null

cat <<TEXT

The dashboards are at http://localhost:3000/dashboards and Prometheus at http://localhost:9090.
End both with Ctrl-C.
TEXT
docker wait usage-exporter-prometheus >/dev/null
