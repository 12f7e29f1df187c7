"""Builds the web app: which path leads where."""

from collections.abc import Callable

import trio
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.web.api import Api, Throttle, api_views
from reminderd.web.bodies import RequestLimits, with_bounded_bodies
from reminderd.web.health import Health
from reminderd.web.replies import json_app, unavailable
from reminderd.web.webhooks import Webhooks, webhook_views


def build_app(
    *,
    webhooks: Webhooks,
    health: Health,
    limits: RequestLimits,
    api: Api | None = None,
    throttle: Throttle | None = None,
    answered: Callable[[int], None] = lambda _status: None,
    knows_one_call: bool = False,
) -> QuartTrio:
    """Return the app that takes webhooks, serves the API, and reports its health.

    Args:
        webhooks: the provider's.
        health: what this process says about itself.
        limits: what no request may exceed.
        api: the API for the clinic's own system; None: there is none.
        throttle: delays wrong tokens of the API; None: one that trusts no proxy.
        answered: is told the HTTP status of the answer to each webhook.
        knows_one_call: whether this process stands in for the daemon with one call only. Then it serves that call's
            webhooks and nothing else; anything about another call is sent again later, to the daemon.
    """
    in_work = trio.Semaphore(limits.in_work)
    views = webhook_views(webhooks, limits=limits, in_work=in_work, answered=answered, knows_one_call=knows_one_call)
    if not knows_one_call:
        views += health.views
        if api is not None:
            views += api_views(api, limits=limits, in_work=in_work, throttle=throttle or Throttle())
    app = json_app("reminderd.web", views)
    if knows_one_call:
        app.register_error_handler(HTTPException, unavailable)
    return with_bounded_bodies(app, limits)
