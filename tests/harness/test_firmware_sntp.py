"""The camera's SNTP client: what it believes, and what not (RFC 4330 section 5)."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from pathlib import Path

import pytest
from firmware_process import run

from hil.clock.ntp import NtpServer

NOW = 1795364850
NONCE = b"12345678"
FROM_1900 = 2208988800


def packet(
    *,
    flags: int = 0x24,
    stratum: int = 2,
    originate: bytes = NONCE,
    unix: int = NOW,
    fraction: int = 0,
) -> bytes:
    stamp = (unix + FROM_1900) % 2**32
    return struct.pack("!BB22x8s8xII", flags, stratum, originate, stamp, fraction)


def read(answer: bytes, directory: Path) -> str:
    return run(
        f"""
import sntp
try:
    print(sntp.seconds({answer!r}, {NONCE!r}))
except ValueError:
    print("refused")
""",
        directory,
    ).strip()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (packet(), NOW),
        (packet(fraction=0x7FFFFFFF), NOW),
        (packet(fraction=0x80000000), NOW + 1),  # rounded: whole seconds, half a second off at most
        (packet(unix=2085978500), 2085978500),  # 2036-02-07, four seconds into the next era
        (packet(unix=4102444800), 4102444800),  # 2100
        (packet(stratum=0), "refused"),  # kiss of death
        (packet(stratum=16), "refused"),
        (packet(flags=0xE4), "refused"),  # leap indicator 3: not synchronised
        (packet(flags=0x23), "refused"),  # a client's packet, not a server's
        (packet(originate=b"87654321"), "refused"),  # not the answer to our question
        (packet()[:47], "refused"),
        (b"", "refused"),
        (packet(unix=-FROM_1900), "refused"),
    ],
)
def test_answers(tmp_path: Path, answer: bytes, expected: object) -> None:
    assert read(answer, tmp_path) == str(expected)


def test_one_exchange_with_the_benchs_own_server(tmp_path: Path) -> None:
    with NtpServer(offset=86400) as server:
        printed = run(
            f"""
import asyncio, sntp
sntp._PORT = {server.port}
print(asyncio.run(sntp.query("127.0.0.1")))
""",
            tmp_path,
        )
    assert abs(int(printed) - time.time() - 86400) < 2


def test_a_silent_server_is_asked_again_and_holds_nothing_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        printed = run(
            f"""
import asyncio, settings, sntp
settings.get = lambda name: "127.0.0.1"
sntp._PORT, sntp._ANSWER_S, sntp._RETRY_S = {silent.getsockname()[1]}, 0.1, (0.1,)

async def main():
    task = asyncio.create_task(sntp.keep())
    for turn in range(70):  # other tasks go on: 70 times 10 ms take no more than that
        await asyncio.sleep_ms(10)

asyncio.run(main())
""",
            tmp_path,
        )
        silent.setblocking(False)
        asked = 0
        with contextlib.suppress(BlockingIOError):
            while silent.recv(100):
                asked += 1
    assert asked >= 3
    assert printed.count("no time from") >= 2


def test_ctrl_c_while_a_name_is_looked_up_does_not_end_it(tmp_path: Path) -> None:
    printed = run(
        """
import asyncio, settings, sntp
settings.get = lambda name: "ntp.test"
asked = []
class Lookup:
    def getaddrinfo(host, port):
        asked.append(host)
        if len(asked) == 1:
            raise KeyboardInterrupt
        raise OSError(-2)
sntp.socket = Lookup
try:
    asyncio.run(sntp.keep())
except KeyboardInterrupt:
    print("interrupted")
async def main():
    while len(asked) < 2:
        await asyncio.sleep_ms(1)
asyncio.run(main())
print("went on")
""",
        tmp_path,
    )
    assert printed.split("\n")[0] == "interrupted"
    assert "went on" in printed


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    run(
        """
import asyncio, settings, sntp
settings.get = lambda name: ""
sntp.query = None  # would raise
async def main():
    asyncio.create_task(sntp.keep())
    await asyncio.sleep_ms(20)
asyncio.run(main())
""",
        tmp_path,
    )
