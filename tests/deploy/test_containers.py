"""Check the files for containers and for other companies' servers, each with the strictest tool that runs offline.

Render's, Fly's and Railway's schemas can't be had offline: what is used of them is listed here, as they document it.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reminderd.config import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
TOOLS = Path(sys.executable).parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()

# https://render.com/docs/blueprint-spec
RENDER = {
    "autoDeploy": bool,
    "disk": {"mountPath": str, "name": str, "sizeGB": int},
    "dockerContext": str,
    "dockerfilePath": str,
    "envVars": list,
    "healthCheckPath": str,
    "maxShutdownDelaySeconds": int,
    "name": str,
    "numInstances": int,
    "plan": str,
    "runtime": str,
    "type": str,
}

# https://fly.io/docs/reference/configuration/
FLY = {
    "app": str,
    "build": {"dockerfile": str},
    "deploy": {"strategy": str},
    "env": dict,
    "http_service": {
        "auto_start_machines": bool,
        "auto_stop_machines": str,
        "checks": list,
        "force_https": bool,
        "internal_port": int,
        "min_machines_running": int,
    },
    "kill_signal": str,
    "kill_timeout": int,
    "mounts": list,
    "primary_region": str,
    "vm": list,
}

# https://docs.railway.com/config-as-code/reference
RAILWAY = {
    "$schema": str,
    "build": {"builder": str, "dockerfilePath": str},
    "deploy": {
        "drainingSeconds": int,
        "healthcheckPath": str,
        "healthcheckTimeout": int,
        "numReplicas": int,
        "overlapSeconds": int,
        "requiredMountPath": str,
        "restartPolicyMaxRetries": int,
        "restartPolicyType": str,
    },
}


def strays(given: Mapping[str, Any], known: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Keys that the vendor does not document, and values of another type than documented."""
    for name, value in given.items():
        expected = known.get(name)
        if isinstance(expected, dict) and isinstance(value, dict):
            yield from strays(value, expected, f"{place}{name}.")
        elif not (isinstance(expected, type) and isinstance(value, expected)):
            yield f"{place}{name}"


def image_environment() -> dict[str, str]:
    """Return the environment that the image sets."""
    return dict(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=(\S+)", DOCKERFILE, re.MULTILINE))


def run(*command: str | Path, environ: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_hadolint_accepts_the_dockerfile() -> None:
    assert run(TOOLS / "hadolint", DEPLOY / "Dockerfile") == ""


def test_the_image_does_not_run_as_root_and_has_a_health_check() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall("^USER (.*)", last_stage, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in last_stage
    assert "http://127.0.0.1:4000/health" in last_stage


def test_the_image_copies_only_files_of_the_build_context() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == let_in
    assert all((DEPLOY.parent / name).exists() for name in let_in)


def test_compose_matches_its_schema_and_hardens_its_services() -> None:
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in services["reminderd"], "only Caddy is for the world"


def test_postgres_and_a_second_daemon_are_hardened_as_the_first_one() -> None:
    file = DEPLOY / "compose.postgres.yaml"
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    services = yaml.safe_load(file.read_text())["services"]
    first = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["reminderd"]
    for service in services.values():
        merged = {**first, **service}
        assert merged["read_only"] is True
        assert merged["cap_drop"] == ["ALL"]
        assert merged["security_opt"] == ["no-new-privileges:true"]
        assert "ports" not in merged
    same = ("build", "restart", "stop_grace_period", "tmpfs", "secrets")
    assert [services["dialer"][key] for key in same] == [first[key] for key in same]


def test_the_second_daemon_uses_the_same_server(tmp_path: Path) -> None:
    services = yaml.safe_load((DEPLOY / "compose.postgres.yaml").read_text())["services"]
    assert services["dialer"]["environment"] == services["reminderd"]["environment"]
    environ = {
        name: value.replace("${POSTGRES_PASSWORD}", "0badcafe")
        for name, value in services["dialer"]["environment"].items()
    }
    config = load_config(None, image_environment() | environ, tmp_path)
    assert config.database.target.shown_name == "postgresql://reminderd@postgres/reminders"
    assert config.database.uploads == Path("/data/reminderd.uploads")


def test_render_has_only_documented_keys_and_one_instance_with_a_disk() -> None:
    blueprint = yaml.safe_load((DEPLOY / "render.yaml").read_text())
    [service] = blueprint["services"]
    assert [*blueprint, *strays(service, RENDER)] == ["services"]
    assert (service["numInstances"], service["disk"]["mountPath"]) == (1, "/data")
    assert all({"key"} < {*given} <= {"key", "value", "sync"} for given in service["envVars"])


def test_fly_has_only_documented_keys_and_one_permanent_machine() -> None:
    config = tomllib.loads((DEPLOY / "fly.toml").read_text())
    assert [*strays(config, FLY)] == []
    assert (config["http_service"]["auto_stop_machines"], config["deploy"]["strategy"]) == ("off", "immediate")
    assert [mount["destination"] for mount in config["mounts"]] == ["/data"]


def test_railway_has_only_documented_keys_and_never_two_instances() -> None:
    config = json.loads((DEPLOY / "railway.json").read_text())
    assert [*strays(config, RAILWAY)] == []
    assert (config["deploy"]["numReplicas"], config["deploy"]["overlapSeconds"]) == (1, 0)


def test_litestream_accepts_its_file_and_finds_the_database() -> None:
    environ = {f"LITESTREAM_{name}": "x" for name in ("BUCKET", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    environ["LITESTREAM_ENDPOINT"] = "https://store.example"
    listed = run(TOOLS / "litestream", "databases", "-config", DEPLOY / "litestream.yml", environ=environ)
    assert listed.split()[-2:] == ["/var/lib/reminderd/reminderd.db", "s3"]


@pytest.mark.parametrize("whose", ["the image", "Render", "Fly"])
def test_every_variable_that_is_set_is_known_to_reminderd(whose: str, tmp_path: Path) -> None:
    environ = image_environment()
    if whose == "Render":
        [service] = yaml.safe_load((DEPLOY / "render.yaml").read_text())["services"]
        environ |= {given["key"]: given.get("value", "") for given in service["envVars"]}
        environ["REMINDERD__CALLING__TIMEZONE"] = "Europe/Berlin"
    if whose == "Fly":
        environ |= tomllib.loads((DEPLOY / "fly.toml").read_text())["env"]
    config = load_config(None, environ, tmp_path)
    assert (str(config.database.path), config.web.host, config.web.port) == ("/data/reminderd.db", "0.0.0.0", 4000)  # noqa: S104
