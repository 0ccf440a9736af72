"""The clock by SNTP: once after boot, then daily. The server answers requests meanwhile.

``ntptime`` blocks up to a second per try and believes whatever comes: a short answer, a kiss of
death, an answer to a question that was never asked. Here the answer is waited for without blocking,
and must pass the checks of RFC 4330 §5.
"""

import asyncio
import os
import socket

import clock
import settings

_PORT = 123
_FROM_1900 = 2208988800  # seconds from 1900-01-01, where NTP counts from, to 1970-01-01
_ERA = 1 << 32
_ANSWER_S = 2
_RETRY_S = (2, 4, 8, 15, 30, 60, 300)  # RFC 4330 §10: back off, and never less than 15 s for long
_DAY_S = 24 * 3600


async def keep():
    """For ever. ``ntp_host`` "" switches it off: then the clock is whoever's who sets it."""
    failures = 0
    while True:
        pause = _DAY_S
        host = settings.get("ntp_host")
        try:
            if host:
                clock.set_rtc(await query(host))
                print("camera: clock set by", host)
            failures = 0
        except (OSError, ValueError, IndexError, asyncio.TimeoutError) as error:
            print("camera: no time from", host, repr(error))
            pause = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
            failures += 1
        except KeyboardInterrupt:
            # Looking the name up blocks, so a Ctrl-C from the REPL may well hit here. The event
            # loop goes on later (run_forever); this task would not, so it leaves a successor.
            asyncio.create_task(keep())
            raise
        await asyncio.sleep(pause)


async def query(host):
    """Unix time by ``host``, to the second. ``ValueError`` for an answer that is not sound,
    ``asyncio.TimeoutError`` for none."""
    address = socket.getaddrinfo(host, _PORT)[0][-1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.connect(address)  # then the stack drops what others send
        nonce = os.urandom(8)
        udp.send(b"\x23" + bytes(39) + nonce)  # version 4, mode 3; any transmit timestamp will do
        answer = await asyncio.wait_for(asyncio.StreamReader(udp).read(48), _ANSWER_S)
    finally:
        udp.close()
    return seconds(answer, nonce)


def seconds(answer, nonce):
    """Unix time in an SNTP answer (RFC 4330 §5), rounded. ``ValueError`` when it fails a check."""
    if len(answer) != 48 or answer[0] & 7 != 4:
        raise ValueError("not a server's answer")
    if answer[0] >> 6 == 3 or not 1 <= answer[1] <= 15:
        raise ValueError("server not synchronised")  # stratum 0: a kiss of death
    if answer[24:32] != nonce:
        raise ValueError("answer to another question")
    stamp = int.from_bytes(answer[40:44], "big")
    if stamp == 0:
        raise ValueError("no time in it")
    stamp += answer[44] >> 7
    if stamp - _FROM_1900 < clock.EARLIEST:
        stamp += _ERA  # RFC 4330 §3: the era that began in 2036
    return stamp - _FROM_1900
