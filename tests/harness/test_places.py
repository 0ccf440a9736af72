"""Places of a real labgrid coordinator, and a board behind a real exporter of labgrid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_run import short_folder
from labgrid_rig import (
    USB_SERIAL_PORT,
    Coordinator,
    await_,
    coordinator,
    exporter,
    serial_port,
    usb_serial_port,
)

from hil import config, lock
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.errors import BenchError
from hil.link.board import BoardLink, identify
from hil.link.opening import NoPortError
from hil.places.acquisition import presence, serial_url
from hil.places.address import PlaceSpec
from hil.places.session import CoordinatorError, Session, connected, me
from hil.sighting import REMOTE, sight
from hil.virtual.board import VirtualBoard


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("board")
    with VirtualBoard.start("barn", state=folder / "barn", bus=folder / "bus") as board:
        yield board


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    board: VirtualBoard,
    require_program: Callable[[str, str], Path],
) -> Iterator[Coordinator]:
    """A coordinator; one exporter with the board's port, and other resources that need none."""
    require_program("ser2net", "ser2net")
    with coordinator(tmp_path_factory.mktemp("lab")) as lab:
        elsewhere = (
            "shelf:\n"
            "  console: {cls: NetworkSerialPort, host: '::1', port: 4000, protocol: raw}\n"
            "  modem: {cls: NetworkSerialPort, host: shelf-pi, port: 4001}\n"
            "away:\n  NetworkSerialPort: {host: shelf-pi, port: null}\n"
        )
        with exporter(lab, "pi", serial_port("cams", board.device) + elsewhere):
            yield lab


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the locks."""
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def place(lab: Coordinator, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """With the board in it; free before and after."""
    name = request.node.name.replace("[", "-").rstrip("]")
    lab.add_place(name, "pi/cams/NetworkSerialPort", {"board": "openmv-n6"})
    yield name
    with connected(lab.address) as session:
        if holder := session.places[name].acquired:
            session.release(name, holder)
        session._stub.DeletePlace(session._messages.DeletePlaceRequest(name=name))


def url(lab: Coordinator, place: str) -> str:
    return PlaceSpec(lab.address, place).url


def soon() -> Deadline:
    return Deadline.after(20)


def test_a_place_is_held_like_a_board_and_its_port_opens(
    lab: Coordinator, place: str, board: VirtualBoard
) -> None:
    at = url(lab, place)
    consent = TargetSpec("barn", "", "board", provision=True).consent()
    assert lock.holder(at) is None
    with lock.hold(at, "checks on barn", soon()) as note:
        assert note == ""
        assert lab.acquired_by(place) == me()
        holder = lock.holder(at)
        assert holder
        assert holder.purpose == "checks on barn"
        with BoardLink("barn", at, consent=consent) as link:
            with link.paused(soon(), lambda _: True) as repl:
                assert identify(repl, soon()).unique_id == board.unique_id
            boots = board.control("status")["boots"]
            link.hard_reset(soon())
            with link.paused(soon(), lambda _: True) as repl:
                assert identify(repl, soon()).unique_id == board.unique_id
            assert board.control("status")["boots"] == boots + 1
    assert lab.acquired_by(place) is None


def test_a_usb_port_is_found_again_where_it_is_served_after_a_reset(
    lab: Coordinator,
    board: VirtualBoard,
    folder: Path,
    umockdev: None,
    require_program: Callable[[str, str], Path],
) -> None:
    consent = TargetSpec("barn", "", "board", provision=True).consent()
    ser2net = require_program("ser2net", "ser2net")
    at = url(lab, "usb")
    with (
        short_folder() as short,
        usb_serial_port(short, board.device, ser2net) as environment,
        exporter(lab, "usb-pi", USB_SERIAL_PORT, environment),
    ):
        lab.add_place("usb", "usb-pi/cams/NetworkSerialPort")
        with (
            lock.hold(at, "checks on barn", soon()),
            BoardLink("barn", at, consent=consent) as link,
        ):
            link.open(soon())
            first, boots = serial_url(at), board.control("status")["boots"]
            link.hard_reset(soon())
            with link.paused(soon(), lambda _: True) as repl:
                assert identify(repl, soon()).unique_id == board.unique_id
            assert board.control("status")["boots"] == boots + 1
            assert serial_url(at) != first, "the exporter has not noticed the reset"


def test_a_place_of_somebody_else_is_waited_for_and_told_by_name(
    lab: Coordinator, place: str
) -> None:
    lab.client("-p", place, "acquire", user="alice", host="attic")
    with (
        pytest.raises(lock.HeldError, match="alice on attic since 20") as told,
        lock.hold(url(lab, place), "checks", Deadline.after(0)),
    ):
        pass
    assert f"-x {lab.address} -p {place} release --kick" in str(told.value)
    assert lab.acquired_by(place) == "attic/alice"

    waits: list[lock.Holder] = []
    looks, got = threading.Semaphore(0), threading.Event()

    def given_up() -> bool:
        looks.release()
        return False

    def run() -> None:
        with lock.hold(url(lab, place), "checks", soon(), on_wait=waits.append, given_up=given_up):
            got.set()

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(3):
        assert looks.acquire(timeout=20)
    assert not got.is_set()
    with connected(lab.address) as session:
        session.release(place, "attic/alice")
    thread.join(20)
    assert got.is_set()
    assert [(one.user, one.host) for one in waits] == [("alice", "attic")], "told once"


def test_one_that_you_have_acquired_by_hand_is_used_and_stays_yours(
    lab: Coordinator, place: str
) -> None:
    lab.client("-p", place, "acquire")
    with lock.hold(url(lab, place), "checks", soon()) as note:
        assert note == f"place {place!a} is acquired by you already ({me()}): it stays so"
    assert lab.acquired_by(place) == me()


def test_one_that_a_killed_run_has_left_is_taken_over_and_released(
    lab: Coordinator, place: str
) -> None:
    """labgrid keeps it for whoever acquired it: that he has died, it does not notice."""
    hold = (
        "import sys, time\nfrom hil import lock\nfrom hil.deadline import Deadline\n"
        "with lock.hold(sys.argv[1], 'checks', Deadline.after(20)):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", hold, url(lab, place)], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "held\n"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert lab.acquired_by(place) == me()
    left = lock.holder(url(lab, place))
    assert left
    assert "in a run on this host that has died" in str(left)
    with lock.hold(url(lab, place), "checks", soon()) as note:
        assert note == f"place {place!a} was left acquired by a run that has died"
    assert lab.acquired_by(place) is None


def test_a_reservation_of_somebody_else_is_waited_for(lab: Coordinator, place: str) -> None:
    lab.client("reserve", f"name={place}", user="alice", host="attic")
    with (
        pytest.raises(lock.HeldError, match=r"alice on attic since .*: a reservation at labgrid"),
        lock.hold(url(lab, place), "checks", Deadline.after(0)),
    ):
        pass


def test_what_is_not_there_is_told(lab: Coordinator, folder: Path, place: str) -> None:
    with pytest.raises(BenchError, match=f"has no place 'nowhere'; it has .*{place}"):
        lock.holder(url(lab, "nowhere"))
    wanted = PlaceSpec(lab.address, tags=(("board", "arduino"),)).url
    with pytest.raises(BenchError, match="has no place with board=arduino; it has"):
        lock.holder(wanted)
    with pytest.raises(BenchError, match=r"is not acquired by .*, but by nobody"):
        serial_url(url(lab, place))
    with pytest.raises(CoordinatorError, match=r"coordinator at 127.0.0.1:1 does not answer: "):
        lock.holder("labgrid://127.0.0.1:1/barn")


def test_a_place_whose_resource_another_place_has(
    lab: Coordinator, place: str, folder: Path
) -> None:
    lab.add_place("rival", "pi/cams/NetworkSerialPort")
    with (
        lock.hold(url(lab, "rival"), "checks", soon()),
        pytest.raises(
            BenchError, match=f"{place}' cannot be acquired: .* is in use by place 'rival'"
        ),
        lock.hold(url(lab, place), "checks", soon()),
    ):
        pass


def test_the_serial_port_that_is_meant(lab: Coordinator, folder: Path) -> None:
    lab.add_place("shelf", "pi/shelf/*")
    lab.add_place("nothing", "pi/nothing/*")
    lab.add_place("away", "pi/away/*")
    for name in ("shelf", "nothing", "away"):
        with lock.hold(url(lab, name), "checks", soon()):
            if name == "shelf":
                with pytest.raises(BenchError, match="has 2 serial ports: console, modem"):
                    serial_url(url(lab, name))
                shelf = PlaceSpec(lab.address, name)
                for resource, served in (
                    ("console", "socket://[::1]:4000"),
                    ("modem", "rfc2217://shelf-pi:4001"),
                ):
                    one = PlaceSpec(shelf.coordinator, name, resource=resource).url
                    assert serial_url(one) == served
                missing = PlaceSpec(shelf.coordinator, name, resource="jtag").url
                with pytest.raises(BenchError, match="has no serial port called 'jtag'"):
                    serial_url(missing)
            elif name == "nothing":
                with pytest.raises(BenchError, match="'nothing' has no serial port"):
                    serial_url(url(lab, name))
            else:
                with pytest.raises(NoPortError, match="shows no serial port now"):
                    serial_url(url(lab, name))


def test_an_exporter_that_nobody_reaches_without_ssh_is_told(
    lab: Coordinator, folder: Path
) -> None:
    resources = (
        "far:\n  NetworkSerialPort: {host: far-pi, port: 4000}\n"
        "nameless:\n  NetworkSerialPort: {port: 4000}\n"
    )
    with exporter(lab, "far-pi", resources, isolated=True):
        for name, error, wrong in (
            (
                "far",
                BenchError,
                r"exporter 'far-pi' wants to be reached through SSH \(--isolated\)",
            ),
            ("nameless", NoPortError, "shows no serial port now"),
        ):
            lab.add_place(name, f"far-pi/{name}/*")
            with (
                lock.hold(url(lab, name), "checks", soon()),
                pytest.raises(error, match=wrong),
            ):
                serial_url(url(lab, name))


def test_a_list_tells_what_is_at_a_place_and_who_has_it(
    lab: Coordinator, place: str, folder: Path
) -> None:
    lab.add_place("empty", "pi/empty/*")
    specs = [
        TargetSpec(name, "", "board", model="openmv-n6", port=url(lab, name))
        for name in (place, "empty", "gone")
    ]
    lab.client("-p", place, "acquire", user="alice", host="attic")
    here, empty, gone = sight(specs, [], {})
    assert here.presence == REMOTE
    assert presence(url(lab, place)) == ""
    assert "held by alice on attic since " in here.held({})
    assert empty.presence.startswith("absent; place 'empty' has no serial port")
    assert empty.held({}) == ""
    assert "has no place 'gone'" in gone.presence
    assert "whether it is held cannot be told: " in gone.held({})


def test_places_with_a_tag_are_targets(lab: Coordinator, tmp_path: Path) -> None:
    for name, tags in (
        ("cam-2", {"board": "n6", "unique_id": "00112233445566778899aabb"}),
        ("cam 1", {"board": "n6"}),
        ("cam-3", {"board": "n6"}),
        ("other", {"board": "ae3"}),
    ):
        lab.add_place(name, "pi/none/*", tags)
    path = tmp_path / "devices.yaml"
    common = f"kind: board, model: openmv-n6, labgrid: {{coordinator: '{lab.address}'"
    path.write_text(
        f"targets:\n  n6: {{{common}, tags: {{board: n6}}}}, provision: true}}\n"
        f"  mine: {{{common}, place: cam-3}}}}\n"
        f"  none: {{{common}, tags: {{board: m7}}}}}}\n"
        "  down: {kind: board, model: openmv-n6,"
        " labgrid: {coordinator: '127.0.0.1:1', tags: {board: n6}}}\n"
    )
    inventory = config.load(path, tmp_path, {})
    assert list(inventory.targets) == ["n6.cam-1", "n6.cam-2", "mine", "none", "down"]
    one, two = inventory.targets["n6.cam-1"], inventory.targets["n6.cam-2"]
    assert (one.unique_id, two.unique_id) == (None, "00112233445566778899aabb")
    assert one.port == f"labgrid://{lab.address}/cam%201"
    assert one.provision
    chosen = config.select(inventory, ["n6", "mine"])
    assert [spec.name for spec in chosen] == ["n6.cam-1", "n6.cam-2", "mine"]
    with pytest.raises(BenchError, match="has no place with board=m7"):
        lock.holder(lock.key_of(inventory.targets["none"]))
    with pytest.raises(CoordinatorError, match="does not answer"):
        lock.holder(lock.key_of(inventory.targets["down"]))


def test_two_connections_of_one_process_are_two_clients(lab: Coordinator, place: str) -> None:
    """gRPC would share one TCP connection, by which a coordinator tells its clients."""
    one, other = Session(lab.address), Session(lab.address)
    one.close()
    try:
        assert other.acquire(place) == ""
        assert other.places[place].acquired == me()
    finally:
        other.close()


def test_a_coordinator_that_is_restarted_in_the_middle(tmp_path: Path, folder: Path) -> None:
    """It forgets who had acquired what: whoever asks for the port is told so, and nothing is left
    to release."""
    with coordinator(tmp_path / "first", ended_by=signal.SIGKILL) as lab:
        lab.add_place("barn", "pi/cams/*")
        held = lock.hold(url(lab, "barn"), "checks", soon())
        held.__enter__()
        with connected(lab.address) as session:
            pass
    with pytest.raises(CoordinatorError, match="does not answer: "):
        await_(session, lambda: False)
    with pytest.raises(CoordinatorError, match="does not answer: "):
        serial_url(url(lab, "barn"))
    port = int(lab.address.rpartition(":")[2])
    with coordinator(tmp_path / "second", port) as lab:
        lab.add_place("barn", "pi/cams/*")
        with pytest.raises(BenchError, match=f"is not acquired by {me()}, but by nobody"):
            serial_url(url(lab, "barn"))
        held.__exit__(None, None, None)
    assert not [one for one in folder.glob("*.place.json") if one.read_bytes()]


def test_a_silent_coordinator_is_waited_for_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.places.session.CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"labgrid://127.0.0.1:{silent.getsockname()[1]}/"
        for place in ("barn", "loft", "porch"):
            with pytest.raises(CoordinatorError, match="does not answer\n"):
                lock.holder(at + place)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_without_labgrid_it_is_told_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "labgrid.remote", None)
    with pytest.raises(BenchError, match="labgrid needs its library") as told:
        lock.holder("labgrid://127.0.0.1:1/barn")
    assert "pip install 'hil[labgrid]'" in str(told.value)


def test_labgrid_is_imported_for_a_place_only(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(
        "targets:\n  barn: {kind: board, model: openmv-n6,"
        " labgrid: {coordinator: lab, place: barn}}\n"
    )
    script = (
        "import json, sys\nfrom pathlib import Path\nimport hil.bench, hil.listing, hil.lock\n"
        "from hil import config\nconfig.load(Path(sys.argv[1]), Path('.'), {})\n"
        "print(json.dumps([name for name in ('labgrid', 'grpc') if name in sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == []
