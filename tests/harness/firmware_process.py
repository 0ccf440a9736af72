"""The camera firmware in a real MicroPython, for the tests of the firmware itself.

No virtual board here: those tests are about the application's own modules, and a process that needs
no flash image and no port starts in 20 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from hil.provision import camera_settings, microdot_tree
from hil.virtual.interpreter import find_micropython

FIRMWARE = Path(__file__).parents[2] / "firmware" / "camera"
PASSWORD = "pässwörd:with a colon"
HEAP = "300k"  # twice what a 32-bit board needs: pointers here have 64 bits

# Stands before main.py: a clock that the test can move, without a file system or an RTC of its own.
LAUNCHER = """
import time, clock
def unix():
    with open("offset") as file:
        return int(time.time()) + int(file.read())
clock.unix = unix
try:
    exec(open({main!r}).read())
except KeyboardInterrupt:
    print("interrupted")
import asyncio
while True:  # what the harness does after each pause
    try:
        asyncio.get_event_loop().run_forever()
    except KeyboardInterrupt:
        print("interrupted")
"""


def environment(directory: Path) -> dict[str, str]:
    """Modules as on a board: the application first, microdot in lib/."""
    for path, content in microdot_tree().items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return {**os.environ, "MICROPYPATH": f"{FIRMWARE}:{directory / 'lib'}:.frozen"}


def run(code: str, directory: Path, *, arguments: str = "", timeout: float = 20) -> str:
    """What ``code`` prints in a MicroPython of its own that works in ``directory``."""
    result = subprocess.run(
        [*find_micropython(), *arguments.split(), "-c", code],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Worker:
    """One long-lived MicroPython that calls the same function over and over (for hypothesis).

    :param setup: code that defines ``call(argument: bytes) -> JSON value``
    """

    LOOP = """
import sys, json
from binascii import unhexlify
for line in sys.stdin:
    try:
        answer = {"ok": call(unhexlify(line.strip()))}
    except (ValueError, UnicodeError):
        answer = {"refused": True}
    except Exception as error:
        answer = {"crashed": repr(error)}
    print(json.dumps(answer))
"""

    def __init__(self, setup: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            [*find_micropython(), "-c", setup + self.LOOP],
            cwd=directory,
            env=environment(directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, argument: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(argument.hex() + "\n")
        self.process.stdin.flush()
        while (line := self.process.stdout.readline()).startswith("camera: "):
            pass  # what the firmware tells the console
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()


@contextlib.contextmanager
def worker(setup: str, directory: Path) -> Iterator[Worker]:
    process = Worker(setup, directory)
    try:
        yield process
    finally:
        process.close()


class Camera:
    """The whole application on 127.0.0.1, in ``directory``."""

    def __init__(self, directory: Path, *, provision: bool = True) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        if provision:
            self.provision()
        self.skew(0)
        self.output = directory / "console.txt"

    def provision(self, password: str = PASSWORD, **changes: Any) -> None:
        settings = json.loads(
            camera_settings(hostname="porch", password=password, port=self.port, ntp_host="",
                            iterations=50, throttle_ms=100)
        )  # fmt: skip
        (self.directory / "settings.json").write_text(json.dumps({**settings, **changes}))

    def skew(self, seconds: int) -> None:
        (self.directory / "offset").write_text(str(seconds))

    def start(self) -> None:
        code = LAUNCHER.format(main=str(FIRMWARE / "main.py"))
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*find_micropython(), "-X", f"heapsize={HEAP}", "-c", code],
                cwd=self.directory,
                env=environment(self.directory),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self.process.poll() is None, self.console()
            assert time.monotonic() < deadline, self.console()
            time.sleep(0.005)  # nothing to wait on: the port opens when it opens

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)

    def interrupt(self) -> None:
        """Ctrl-C, and on with the event loop."""
        times = self.console().count("interrupted")
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 5
        while self.console().count("interrupted") == times:
            assert time.monotonic() < deadline, self.console()
            time.sleep(0.002)  # a file has no event to wait for

    def reboot(self) -> None:
        self.stop()
        self.start()

    def console(self) -> str:
        return self.output.read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def talk(self, data: bytes) -> Answer:
        """Sends ``data`` and reads until the camera closes."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            return receive(connection)

    def ask(self, method: str, path: str, body: bytes | None = None, **fields: str) -> Answer:
        """One sound request; ``content_type="…"`` becomes ``Content-Type: …``."""
        head = [f"{method} {path} HTTP/1.1", "Host: porch.local"]
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        head += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        return self.talk("\r\n".join([*head, "", ""]).encode() + (body or b""))

    def post(self, path: str, body: Any, **fields: str) -> Answer:
        """A JSON value."""
        data = json.dumps(body).encode()
        return self.ask("POST", path, data, content_type="application/json", **fields)

    def form(self, path: str, **values: str) -> Answer:
        """``application/x-www-form-urlencoded``."""
        media = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(values).encode(), content_type=media)

    def login(self, password: str = PASSWORD, user: str = "owner") -> Answer:
        return self.post("/api/login", {"user": user, "pass": password})

    def token(self) -> str:
        answer = self.login()
        assert answer.status == 200, answer
        return str(json.loads(answer.body)["token"])

    def ack(self, token: str, body: bytes = b'{"count": 1}') -> Answer:
        return self.ask(
            "POST",
            "/api/ack",
            body,
            content_type="application/json",
            authorization=f"Bearer {token}",
        )


class Answer:
    """A response: ``status`` is None when the camera closed without one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if data else None
        self.fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
        }

    def __repr__(self) -> str:
        return repr(self.data)

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


def receive(connection: socket.socket) -> Answer:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return Answer(data)
