"""A microdot Response on the wire, in one piece.

microdot would write it line by line (a TCP segment each, on a board) with the reason ``N/A``.
"""

import time

import clock

REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def to_bytes(response):
    response.complete()  # Content-Length and Content-Type
    lines = ["HTTP/1.1 %d %s" % (response.status_code, REASONS.get(response.status_code, ""))]
    for name, value in response.headers.items():
        # RFC 9110 §8.6: a server MUST NOT send a length with 204
        if response.status_code != 204 or not name.startswith("Content-"):
            lines.append("%s: %s" % (name, value))
    if clock.is_set():
        # RFC 9110 §6.6.1: a server with a clock MUST, one without MUST NOT
        lines.append("Date: " + _imf_fixdate())
    lines.append("Connection: close\r\n\r\n")
    head = "\r\n".join(lines).encode()
    return head if response.is_head else head + response.body


def _imf_fixdate():
    year, month, day, hour, minute, second, weekday = time.gmtime(clock.unix() - clock.EPOCH)[:7]
    return "%s, %02d %s %d %02d:%02d:%02d GMT" % (
        _DAYS[weekday], day, _MONTHS[3 * month - 3 : 3 * month], year, hour, minute, second,
    )  # fmt: skip
