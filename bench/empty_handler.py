"""Run the yardstick for webhooks in a separate process: plain Quart-Trio on Hypercorn, which only reads the body.

    python -m bench.empty_handler

It prints its URL. `POST /` reads the body, and answers what the daemon answers.
"""

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio


async def take() -> Response:
    await request.get_data()
    return Response(b'{"success": true}', content_type="application/json")


async def main() -> None:
    app = QuartTrio("bench.empty_handler", static_folder=None)
    app.add_url_rule("/", "take", take, methods=["POST"])
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    config.include_server_header = False
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, app, config)
        print(url, flush=True)


if __name__ == "__main__":
    trio.run(main)
