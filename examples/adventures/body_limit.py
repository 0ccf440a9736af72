"""An ASGI application behind limits for a request's body and header; no cache keeps an answer."""

from __future__ import annotations

LIMIT = 16 * 1024
LINE_LIMIT = 8000
TOO_LARGE = b'{"error":"too large"}'


class BodyLimit:
    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def unstored(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        async def refuse(status) -> None:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(TOO_LARGE)),
                (b"connection", b"close"),
            ]
            await unstored({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": TOO_LARGE})

        if any(len(name) + 2 + len(value) > LINE_LIMIT for name, value in scope["headers"]):
            await refuse(431)
            return

        # The whole body first: 16 KiB, and the application is not asked what it does with half.
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LIMIT:
                await refuse(413)
                return

        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed():
            return whole.pop() if whole else await receive()

        await self.app(scope, replayed, unstored)
