"""Connect everything: build what the configuration asks for, run it in one nursery, reload and stop."""

from reminderd.daemon.readiness import supervisor_of
from reminderd.daemon.run import Running, run
from reminderd.daemon.setup import Options, Part
from reminderd.daemon.signals import Reload, watch_signals

__all__ = ["Options", "Part", "Reload", "Running", "run", "supervisor_of", "watch_signals"]
