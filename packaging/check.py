#!/usr/bin/env python3
"""Checks the compose file, the workflow and the Kubernetes manifests against their schemas: `packaging/check.py`.

Needs check-jsonschema, which carries the schemas of the first two, and kubernetes-validate; both are installed once
into the user's cache.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "usage-exporter" / "schemas"
PACKAGES = ("check-jsonschema==0.39.0", "kubernetes-validate==1.37.0")
KUBERNETES = "1.31"


def install():
    if not (CACHE / "check_jsonschema").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
        subprocess.run([*pip, "--target", str(CACHE), *PACKAGES], check=True)
    sys.path.insert(0, str(CACHE))


def check(path, schema):
    environment = {**os.environ, "PYTHONPATH": str(CACHE)}
    subprocess.run([sys.executable, "-m", "check_jsonschema", "--quiet", "--builtin-schema", schema, str(ROOT / path)],
                   check=True, env=environment)


def main():
    install()
    import kubernetes_validate
    import yaml

    check("docker-compose.yml", "vendor.compose-spec")
    check(".github/workflows/ci.yml", "vendor.github-workflows")
    for manifest in yaml.safe_load_all((ROOT / "packaging/kubernetes/usage-exporter.yaml").read_text()):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


if __name__ == "__main__":
    main()
