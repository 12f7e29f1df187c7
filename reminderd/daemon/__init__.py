"""Where everything meets: the rooms put together from the configuration, and run in one nursery."""

from reminderd.daemon.reload import Reload
from reminderd.daemon.run import Part, Running, run
from reminderd.daemon.signals import watch_signals
from reminderd.daemon.systemd import supervisor

__all__ = ["Part", "Reload", "Running", "run", "supervisor", "watch_signals"]
