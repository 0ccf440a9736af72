"""Runs on a hard reset: the camera's server, its Wi-Fi and its clock, side by side.

Ctrl-C stops the event loop and leaves every task where it was, so that from the REPL

    import asyncio; asyncio.get_event_loop().run_forever()

goes on. So nothing here may clean up in a ``finally``.
"""

import microdot  # first: compiling it takes the most memory, and now it is all there

import asyncio

import settings
import sntp
import wifi
from app import app
from auth import tokens
from web.front import Front

BACKLOG = 64  # 50 clients at once; a stack with fewer places takes what it has


async def main():
    tokens.start()
    wlan = wifi.interface()
    port = settings.port()
    await asyncio.start_server(Front(app).serve, "0.0.0.0", port, BACKLOG)
    asyncio.create_task(network(wlan, port))
    while True:
        await asyncio.sleep(3600)


async def network(wlan, port):
    first = True

    def on_address(address):
        nonlocal first
        print("camera: listening on %s:%d" % (address, port))
        if first:
            first = False
            asyncio.create_task(sntp.keep())

    await wifi.keep(wlan, on_address)


asyncio.run(main())
