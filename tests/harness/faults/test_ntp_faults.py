"""An NTP server that is wrong: what becomes of a clock that is set by it.

The bench's server has the fault. ``ntptime`` on the board believes almost everything, so the bench
reads the clock afterwards; the reference firmware's own client refuses all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from fault_scene import FAULTY, Scene

from hil.clock.ntp import Fault, NtpServer
from hil.clock.rtc import opened
from hil.clock.skew import ClockControl
from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link.board import BoardLink
from hil.link.files import sync, working_directory
from hil.provision import application, reference
from hil.reboot import resumed

BUDGET_S = 20.0

ASKS = """
import asyncio, sntp
try:
    asyncio.run(sntp.query('10.0.0.1'))
    print('taken')
except Exception as error:
    print(repr(error))
"""


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.KISS_OF_DEATH, "from true time"),
        (Fault.LATE, "ntptime.settime() with '10.0.0.1' failed"),
        (Fault.WRONG_MODE, None),
    ],
)
def test_a_wrong_ntp_server(
    scene: Scene, fault: Fault, says: str | None, record_property: Callable[[str, object], None]
) -> None:
    def route(server: NtpServer) -> str:
        scene.board.control("route", destination="*:123", to=[server.host, server.port])
        return "10.0.0.1"

    with (
        NtpServer(fault=fault) as server,
        BoardLink(FAULTY, scene.board.device, consent=scene.board.consent) as link,
    ):
        clock = ClockControl(
            opened(lambda deadline: link.paused(deadline, resumed)),
            ntp=server,
            route=route,
            target=FAULTY,
        )
        started = time.monotonic()
        told = "the right time is taken (ntptime looks at no mode)"
        if says is None:
            clock.force_ntp()
        else:
            with pytest.raises(BoardError) as error:
                clock.force_ntp()
            told = f"BoardError: {error.value}".partition("\n")[0]
            assert says in told
            assert told.startswith(f"BoardError: {FAULTY}: ")
        took = time.monotonic() - started
        assert took < BUDGET_S

        refused = _firmware_says(link)
        # The firmware waits for two seconds, as long as the answer takes: both ways are in order.
        assert "taken" not in refused or fault is Fault.LATE

        server.fault = Fault.NONE
        clock.force_ntp()
        clock.restore()
        assert "taken" in _firmware_says(link)
    assert scene.is_as_found()

    record_property("fault", f"NTP: {fault.value}")
    record_property("told", f"{told}; the firmware's client: {refused}")
    record_property("took_s", took)
    record_property("budget_s", BUDGET_S)
    record_property("next_run", "a sound server sets the clock, which is then put back")


def _firmware_says(link: BoardLink) -> str:
    deadline = Deadline.after(15)
    with link.repl(deadline) as repl:
        root = working_directory(repl, deadline)
        sync(repl, application(reference()), root, deadline)
        return repl.exec(ASKS, deadline).decode().strip()
