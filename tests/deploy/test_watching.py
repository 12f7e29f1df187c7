"""The dashboard and the alerts speak of what is really there, in Prometheus' own language, and are explained."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.metrics_page import full_page, series_in

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana.json"
UNIT_TESTS = Path(__file__).parent / "alerts.test.yml"
GUIDE = ROOT / "docs" / "watching.md"

OF_PROMETHEUS = {"up"}
"""Series that Prometheus makes by itself for whatever it asks."""
OF_THE_ASKED = {"job", "instance"}
"""Labels that it adds."""

SERIES = re.compile(r"\b(up|(?:reminderd|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')

PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=ROOT / ".venv" / "bin")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not here: it is in Debian's package prometheus, and .ci/run brings it"
)


def expressions() -> list[str]:
    """Return all queries of the dashboard and the alerts, with Grafana's variables filled in."""
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    filled = [expr.replace("$instance", ".*").replace("$__rate_interval", "5m") for expr in asked]
    text = ALERTS.read_text(encoding="utf-8")
    folded = re.sub(r">\n\s+(.*)\n\s+(and .*)\n", r"\1 \2\n", text)
    return filled + re.findall(r"expr: (.+)", folded)


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return document


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", ALERTS.read_text(encoding="utf-8"))


def promtool(*arguments: str | Path) -> str:
    """Run it, check that it succeeds, and return its output."""
    assert PROMTOOL is not None
    ended = subprocess.run([PROMTOOL, *arguments], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_every_queried_series_is_exported_with_its_labels_and_values() -> None:
    exported: dict[str, dict[str, set[str]]] = {name: {} for name in OF_PROMETHEUS}
    for name, labels in series_in(full_page()):
        known = exported.setdefault(name, {})
        for label, word in labels:
            known.setdefault(label, set()).add(word)
    asked = [found for expression in expressions() for found in SERIES.findall(expression)]
    assert len(asked) > 30
    for name, matchers in asked:
        assert name in exported, f"nobody exports {name}"
        for label, how, pattern in MATCHER.findall(matchers):
            if label in OF_THE_ASKED:
                continue
            assert label in exported[name], f"{name} has no label {label}"
            for word in pattern.split("|") if how == "=~" else [pattern]:
                assert word in exported[name][label], f"{name} is never {label}={word}"


def test_every_series_and_every_alert_is_explained() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in series_in(full_page())}
    ours = {name for name in names if name.startswith("reminderd_")}
    assert [name for name in sorted(ours) if f"`{name}`" not in guide] == []
    assert [alert for alert in alerts() if f"`{alert}`" not in guide] == []


def test_the_guide_explains_only_existing_series_and_alerts() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    names = {name for name, _ in series_in(full_page())} | {
        re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in series_in(full_page())
    }
    assert set(re.findall(r"`(reminderd_[a-z_]+)`", guide)) - names == set()
    assert set(re.findall(r"`(Reminderd[A-Za-z]+)`", guide)) - set(alerts()) == set()


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    text = UNIT_TESTS.read_text(encoding="utf-8")
    firing = re.findall(r"alertname: (\w+)\n\s+eval_time: \w+\n\s+exp_alerts:\n\s+- exp_labels", text)
    assert sorted(set(firing)) == sorted(alerts())


def test_every_panel_has_a_title_and_a_description() -> None:
    panels = dashboard()["panels"]
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


@needs_promtool
def test_the_alerts_are_valid_prometheus_rules() -> None:
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", ALERTS)


@needs_promtool
def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


@needs_promtool
def test_the_dashboards_queries_are_valid_promql(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{place}", "expr": expr} for place, expr in enumerate(expressions())]
    file = tmp_path / "rules.yml"  # JSON is YAML, too
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", file)


@needs_promtool
def test_prometheus_can_read_the_page() -> None:
    assert PROMTOOL is not None
    ended = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=full_page(), check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
