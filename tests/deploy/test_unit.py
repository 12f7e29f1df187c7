"""The systemd unit, judged by systemd's own tools on a stub root: nothing is started."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "reminderd.service"
ANALYZE = shutil.which("systemd-analyze") or ""
SYSTEMS_OWN = Path("/lib/systemd/system")

pytestmark = pytest.mark.skipif(
    not (ANALYZE and SYSTEMS_OWN.is_dir()), reason="systemd's tools are not installed (Debian: systemd)"
)


def verified(root: Path, unit: str) -> "subprocess.CompletedProcess[str]":
    """What `systemd-analyze verify` says of a unit in a root with systemd's own units and the programs it names."""
    systems_own, ours = root / "usr/lib/systemd/system", root / "etc/systemd/system"
    shutil.copytree(SYSTEMS_OWN, systems_own, symlinks=True)
    ours.mkdir(parents=True)
    (ours / "reminderd.service").write_text(unit)
    for program in ("opt/reminderd/current/bin/reminderd", "bin/kill"):
        (root / program).parent.mkdir(parents=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    command = [ANALYZE, f"--root={root}", "--man=no", "verify", "reminderd.service"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    done = verified(tmp_path, UNIT.read_text())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_a_mistyped_key(tmp_path: Path) -> None:
    done = verified(tmp_path, UNIT.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "Unknown key 'WatchdogSecs'" in done.stderr


def test_the_unit_is_hardened_to_a_score_below_two() -> None:
    command = [ANALYZE, "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level for reminderd.service: 1." in done.stdout


def test_the_unit_lets_the_daemon_read_proc_stat() -> None:
    assert "ProcSubset=pid" not in UNIT.read_text()  # memory and files are told only where /proc/stat can be read


def test_the_unit_knows_the_daemons_exit_codes_and_watchdog() -> None:
    lines = UNIT.read_text().splitlines()
    for needed in ("Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2", "User=reminderd"):
        assert needed in lines
    (watchdog,) = [line for line in lines if line.startswith("WatchdogSec=")]
    # Half of it is how often the watchdog is fed: no more than the silence that the health still believes.
    assert int(watchdog.partition("=")[2]) / 2 <= 30
