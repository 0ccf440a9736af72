"""Before connexion, in the sound build: only requests that all behind it read in the same way.

connexion takes a TAB for a blank, the first of several ``Authorization`` fields, and a body of
another media type, or of no UTF-8, for one that it has checked.
"""

from __future__ import annotations

import json

BODY_LIMIT = 16 * 1024
HEAD_LIMIT = 16 * 1024
LINE_LIMIT = 8000


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Front:
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

        try:
            sound_head(scope)
            body = await whole_body(receive)
            if body is None:
                return
            if body:
                scope = {**scope, "headers": with_media_type(scope["headers"])}
                sound_json(body)
        except Refused as refused:
            content = json.dumps({"message": str(refused)}).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(content)),
                (b"connection", b"close"),
            ]
            start = {"type": "http.response.start", "status": refused.status, "headers": headers}
            await unstored(start)
            await send({"type": "http.response.body", "body": content})
            return

        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed():
            return whole.pop() if whole else await receive()

        await self.app(scope, replayed, unstored)


def sound_head(scope) -> None:
    """:raises Refused: a server behind this one could read it differently"""
    lines = [len(name) + len(value) for name, value in scope["headers"]]
    if max(lines) > LINE_LIMIT or sum(lines) > HEAD_LIMIT:
        raise Refused(431, "too large")
    names = [name for name, _ in scope["headers"]]
    if names.count(b"authorization") > 1:
        raise Refused(400, "one Authorization field")
    if b"transfer-encoding" in names and b"content-length" in names:
        raise Refused(400, "one length")
    if any(name == b"authorization" and b"\t" in value for name, value in scope["headers"]):
        raise Refused(400, "a TAB in Authorization")
    if "//" in scope["path"]:
        raise Refused(404, "not found")


async def whole_body(receive) -> bytes | None:
    """None: the client has gone. :raises Refused: it is too large"""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise Refused(413, "too large")
    return body


def with_media_type(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """In small letters, as connexion knows it. :raises Refused: it is not JSON"""
    told = [value for name, value in headers if name == b"content-type"]
    media_type = told[0].partition(b";")[0].strip().lower() if len(told) == 1 else b""
    if media_type != b"application/json":
        raise Refused(415, "a body is application/json")
    rest = [(name, value) for name, value in headers if name != b"content-type"]
    return [*rest, (b"content-type", b"application/json")]


def sound_json(body: bytes) -> None:
    """:raises Refused: it is none, or a member is there twice"""

    def once(pairs):
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError
        return members

    try:
        json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Refused(400, "no sound JSON") from None
