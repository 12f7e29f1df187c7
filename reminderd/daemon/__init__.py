"""Connect everything: build the parts that the configuration uses, run them in one nursery, reload and stop."""

from reminderd.daemon.readiness import supervisor_of
from reminderd.daemon.run import Running, run
from reminderd.daemon.setup import DaemonPart, Options
from reminderd.daemon.signals import Reload, watch_signals

__all__ = ["DaemonPart", "Options", "Reload", "Running", "run", "supervisor_of", "watch_signals"]
