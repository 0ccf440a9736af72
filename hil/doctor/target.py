"""What ails one target: its entry, port, name on the network, application, and the board itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import lock
from ..deadline import Deadline
from ..errors import Finding, HilError
from ..link.opening import holders, is_remote
from . import firmware, newcomers, own_words, process
from .examined import Examined, Probe, Status, failed, of_target

if TYPE_CHECKING:
    from ..auth.profile import Profile
    from ..config import TargetSpec
    from ..discovery.mdns import Resolved
    from ..discovery.usb import UsbPort
    from ..power_entry import CommandSpec, HubPortSpec

#: A responder answers within 120 ms (RFC 6762 section 6); a resolver asks three times in 3 s.
MDNS_S = 3.0
#: uhubctl looks at all hubs, which takes milliseconds; one that hangs on a bus is not waited for.
POWER_S = 3.0
#: One request to an application that runs, over Wi-Fi that loses a packet, seconds.
HTTP_S = 3.0


class Names:
    """All host names, asked for at once by one resolver, while the rest is examined."""

    def __init__(self) -> None:
        self._found: dict[str, Resolved] = {}
        self._error: HilError | None = None
        self._done = threading.Event()

    def ask(self, hostnames: Sequence[str], deadline: Deadline) -> None:
        threading.Thread(target=self._ask, args=(hostnames, deadline), daemon=True).start()

    def _ask(self, hostnames: Sequence[str], deadline: Deadline) -> None:
        from ..discovery import mdns

        try:
            self._found = mdns.lookup(hostnames, deadline.sooner(MDNS_S))
        except HilError as error:
            self._error = error
        finally:
            self._done.set()

    def answer(self, hostname: str, deadline: Deadline) -> Resolved | None:
        """None: not within the deadline.

        :raises BenchError: multicast DNS cannot be used here
        """
        self._done.wait(deadline.remaining())
        if self._error:
            raise self._error
        return self._found.get(hostname)


@dataclass(frozen=True)
class Look:
    """What all targets share.

    :ivar ports: the USB ports
    :ivar repl: whether to enter the boards' REPLs
    :ivar state: folder for what outlives a run
    """

    ports: Sequence[UsbPort]
    repl: bool
    state: Path
    names: Names = field(default_factory=Names)


def probe(spec: TargetSpec, look: Look) -> Probe:
    """Everything of one target, one thing after another: while its REPL is open, its application
    answers nobody."""
    lent = look.repl and spec.kind == "board"
    return Probe(spec.name, "examination", _Target(spec, look).examine, lent=lent)


@dataclass
class _Target:
    spec: TargetSpec
    look: Look
    resolved: Resolved | None = None

    def told(self, what: str, status: Status, told: str, next_step: str = "") -> Examined:
        return of_target(self.spec, what, status, told, next_step)

    def examine(self, deadline: Deadline) -> Iterator[Examined]:
        from ..auth.profile import load_profile

        yield self._secrets()
        profile = None
        try:
            profile = load_profile(self.spec.profile)
            yield self.told("profile", "ok", profile.title)
        except HilError as error:
            yield failed(self.spec.name, "profile", error)
        if self.spec.kind == "process":
            if profile:
                yield from process.examine(self.spec, deadline)
            return
        images, job = firmware.expected(self.spec)
        yield from images
        if self.spec.kind == "virtual":
            yield self.told("port", "skip", "an embedded board is started by each run")
            return
        device = None
        if self.spec.kind == "board":
            found, device = self._port()
            yield from found
        if self.spec.power:
            yield self._power(self.spec.power, deadline)
        if self.spec.kind == "board":
            yield self._mdns(deadline) if self.spec.hostname else self._nameless()
        address = self.resolved.address if self.resolved else None
        if profile and (address or self.spec.url):
            yield self._http(profile, address, deadline)
        said = None
        if device and self.look.repl:
            said = yield from own_words.ask(
                self.spec, device, self.resolved, job, self.look.state, deadline
            )
        elif device:
            told = "firmware, clock, room, journal: to ask would pause the application"
            yield self.told("REPL", "skip", told, "hil doctor --repl")
        if profile and not address and not self.spec.url:
            yield self._http(profile, said, deadline) if said else self._nowhere()

    def _secrets(self) -> Examined:
        try:
            self.spec.secrets(os.environ)
        except HilError as error:
            return failed(self.spec.name, "secrets", error)
        return self.told("secrets", "ok", "all set in the environment")

    # --- the port ---

    def _port(self) -> tuple[list[Examined], str | None]:
        """What there is to say of it, and the device if it could be opened."""
        spec = self.spec
        if spec.port and is_remote(spec.port):
            return self._remote(spec.port)
        from ..discovery import listed, usb

        try:
            port = listed.running(spec, self.look.ports)
        except HilError as error:
            return [failed(spec.name, "port", error)], None
        loader = None if port else listed.loader_of(spec, self.look.ports)
        if loader:
            told = f"the board {loader}"
            step = f"'hil flash {spec.name}' gives it firmware; or reset it"
            return [self.told("port", "fail", told, step)], None
        device = port.device if port else spec.port or ""
        if spec.usb_serial and not port:
            absent = usb.not_attached(spec.usb_serial, self.look.ports)
            return [failed(spec.name, "port", absent)], None
        if not Path(device).exists():
            step = "is the board plugged in and powered? see 'hil list'"
            return [self.told("port", "fail", f"no {device}", step)], None
        if not os.access(device, os.R_OK | os.W_OK):
            step = newcomers.way_in(device)
            return [self.told("port", "fail", f"no permission for {device}", step)], None
        if locked := self._locked(device):
            return [locked], None
        if who := holders(device):
            told = ", ".join(f"pid {pid} ({command})" for pid, command in who)
            return [
                self.told("port", "fail", f"{device} is held by {told}", "end that program")
            ], None
        return [self.told("port", "ok", str(port) if port else device)], device

    def _locked(self, device: str) -> Examined | None:
        try:
            by = lock.holder(lock.key_of(self.spec))
        except HilError as error:
            return failed(self.spec.name, "port", error)
        wait = "a run waits until it is done; its REPL is left alone here"
        return self.told("port", "note", f"{device}, locked by {by}", wait) if by else None

    def _remote(self, url: str) -> tuple[list[Examined], str | None]:
        """To connect is to open the board's port at the server: only with ``--repl``."""
        if locked := self._locked(url):
            return [locked], None
        if self.spec.unique_id is None:
            told = f"{url}: whatever board is behind it is taken for {self.spec.name}"
            step = "write its 'unique_id' into devices.yaml; 'hil doctor --repl' tells it"
            return [self.told("port", "note", told, step)], url
        return [self.told("port", "ok", f"{url}, not looked for")], url

    def _power(self, power: HubPortSpec | CommandSpec, deadline: Deadline) -> Examined:
        """What switches its power is there. Switches nothing."""
        from ..power.command import CommandSwitch
        from ..power.switched import switch_of
        from ..power.uhubctl import HubPort

        switch, on = switch_of(power), True
        try:
            if isinstance(switch, HubPort):
                on = switch.has_power(deadline.sooner(POWER_S))
            elif isinstance(switch, CommandSwitch):
                switch.require()
        except HilError as error:
            told = f"{error.message}: its power cannot be switched"
            return self.told("power", "warn", told, error.hint or "")
        if not on:
            step = f"'hil recover {self.spec.name}' switches it on, or do it by hand"
            return self.told("power", "fail", f"{switch} is off", step)
        return self.told("power", "ok", str(switch))

    # --- the network ---

    def _mdns(self, deadline: Deadline) -> Examined:
        name = self.spec.hostname or ""
        try:
            found = self.look.names.answer(name, deadline.sooner(MDNS_S + 0.5))
        except HilError as error:
            return failed(self.spec.name, "mDNS", error)
        if found is None or found.address is None:
            told = f"nobody answers for {name}.local"
            if self.spec.provision:
                return self.told("mDNS", "note", f"{told}; a run gives the board its name")
            step = "is the board powered, on this network, and its host name set?"
            return self.told("mDNS", "fail", told, step)
        self.resolved = found
        if found.collision:
            return self.told(
                "mDNS",
                "fail",
                f"{name}.local is claimed by {' and '.join(found.addresses)}",
                "give each board its own 'hostname'",
            )
        return self.told("mDNS", "ok", f"{name}.local is {found.address}")

    def _nameless(self) -> Examined:
        if self.spec.provision:
            told = "no 'hostname' is listed: a run gives the board one of its own"
            return self.told("mDNS", "skip", told)
        told = "neither 'provision: true' nor a 'hostname': a run has no way to reach it"
        return self.told("mDNS", "fail", told, "add one of the two to its entry in devices.yaml")

    def _nowhere(self) -> Examined:
        step = "" if self.look.repl else "hil doctor --repl"
        return self.told("HTTP", "skip", "no address of it is known", step)

    def _http(self, profile: Profile, address: str | None, deadline: Deadline) -> Examined:
        """:param address: the board's; None: the target has a URL"""
        from ..address import http_port

        url = f"http://{address}{http_port(address)}" if address else self.spec.url or ""
        url = url.rstrip("/")
        # A run deploys the application on a provisioned board: what is there now does not matter.
        bad: Status = "note" if self.spec.provision else "fail"
        try:
            wrong = _other_application(url, profile, deadline)
        except Finding:
            step = "does its application run? a reset starts it"
            if self.spec.kind == "url":
                step = "does its server run, and is 'url' right?"
            return self.told("HTTP", bad, f"no answer from {url}", step)
        if wrong:
            step = "does the name or URL lead to another board, or is 'profile' another one?"
            return self.told("HTTP", bad, f"{url} answers, but {wrong}", step)
        return self.told("HTTP", "ok", f"{url} answers as {profile.title} does")


def _other_application(url: str, profile: Profile, deadline: Deadline) -> str:
    """What tells that it is not the profile's application; empty: it is. Sends no credentials.

    :raises Finding: no answer
    """
    from ..auth.client import Api, Credentials
    from ..auth.contract import Basic
    from ..secrets import SecretStr

    timeout = max(0.1, min(HTTP_S, deadline.remaining() / 2))
    api = Api(url, profile, Credentials("", SecretStr("")), timeout=timeout)
    for part in (profile.given_resource, profile.given_basic):
        if part is None:
            continue
        route, answer = f"{part.method} {part.path}", api.request(part.method, part.path)
        if answer.status_code not in profile.no_credentials:
            return (
                f"{route} without credentials gets {answer.status_code}, promised is "
                f"{profile.refusals.missing}"
            )
        challenge = answer.headers.get("www-authenticate", "")
        realm = part.realm if isinstance(part, Basic) else ""
        if realm not in challenge:
            return f"{route} asks for another realm than {realm!a}: {challenge[:80]!a}"
    return ""
