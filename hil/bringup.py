"""Bring one target up, and hand it over with the way to put it back.

The order of events is docs/what-happens-when.md.
"""

from __future__ import annotations

import os
import secrets as random_secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import journal
from .deadline import Deadline
from .errors import BenchError, BoardError, ConfigError, Finding, HilError
from .reboot import Reboot, no_answer, resumed
from .secrets import SecretBytes, SecretStr
from .target import Absent, Controls, Target

if TYPE_CHECKING:
    from .auth.profile import Profile
    from .card import CardControl
    from .clock.ntp import NtpServer
    from .config import Secrets, TargetSpec
    from .discovery.mdns import Resolved
    from .flash_entry import FlashSpec
    from .link.board import BoardLink, Identity
    from .link.repl import Repl
    from .power import PowerControl
    from .recovery import Bootloader, Recovery, Rung
    from .settings_file import SettingsFormat
    from .virtual.board import VirtualBoard

# A real board: reset 3 s, Wi-Fi 4 s, and a first deploy of 270 KB over USB a few seconds more.
BRING_UP_BUDGET_S = 90.0
PUT_BACK_BUDGET_S = 45.0
LOCK_S = 2.0
# What was declared broken is asked once more, and not waited for.
BROKEN_PUT_BACK_S = 5.0
# A responder answers within 120 ms (RFC 6762 §6); a resolver asks three times in three seconds.
MDNS_BUDGET_S = 3.0


def bring_up(spec: TargetSpec, state: Path) -> Target:
    """The target, ready for its first check. Whoever calls holds its lock (:mod:`hil.bench`).

    :param state: folder for what outlives the run: the virtual boards' flash
    :raises BenchError: e.g. the port is missing or held
    :raises BoardError: e.g. the board does not boot, or its application does not answer
    """
    with ExitStack() as stack:
        try:
            if spec.kind == "url":
                target = _url(spec)
            elif spec.provision:
                target = _Bringing(spec, state, stack).up()
            else:
                target = _only_read(spec)
        except (HilError, Finding) as error:
            if isinstance(error, HilError):
                error.target = error.target or spec.name
            try:
                stack.close()
            except (HilError, OSError) as second:
                # The first one is the cause; this is told beside it, by the bench.
                error.left_behind = f"{spec.name}: {getattr(second, 'message', second)}"
            raise
        return replace(target, close=stack.pop_all().close)


def restore(spec: TargetSpec, state: Path) -> journal.Restored | None:
    """Undo what a killed run has left on a board, and start its application again.

    Whoever calls holds its lock. A virtual board is powered for it, from the flash in ``state``.

    :returns: None: there was nothing to undo
    :raises NoConsentError: its entry has no ``provision: true``
    :raises BenchError: e.g. the port is missing or held
    :raises BoardError: e.g. a file could not be put back
    """
    try:
        spec.consent()
        with ExitStack() as stack:
            return _Bringing(spec, state, stack).restore()
    except HilError as error:
        error.target = error.target or spec.name
        raise


def recover(spec: TargetSpec, state: Path, tell: Callable[[Rung], object]) -> None:
    """Climb the ladder of one board by hand; then its application is started by a reset.

    :param tell: told of each rung when it is over
    :raises NoConsentError: its entry has no ``provision: true``
    :raises BenchError: somebody holds the board
    :raises BrokenError: no rung has helped
    """
    from .link.board import identify
    from .lock import hold, key_of
    from .recovery import BUDGET_S, Ladder

    spec.consent()
    with ExitStack() as stack:
        bringing = _Bringing(spec, state, stack)
        purpose = f"the recovery of {spec.name}"
        stack.enter_context(hold(key_of(spec, state), purpose, Deadline.after(LOCK_S)))
        deadline = Deadline.after(BUDGET_S)
        link, power = bringing.attach(bringing.virtual(), deadline)
        ladder = Ladder(link, identify, power, bringing.bootloader(), tell)
        ladder.climb(deadline, BoardError("it does not answer"))
        link.hard_reset(Deadline.after(BUDGET_S))


def _profile(spec: TargetSpec) -> Profile:
    """What the target is held to; its own entry knows better how long its model takes to boot."""
    from .auth.profile import load_profile

    profile = load_profile(spec.profile)
    if spec.boot_timeout_s is None:
        return profile
    return profile.model_copy(update={"boot_timeout_s": spec.boot_timeout_s})


def _target(
    spec: TargetSpec,
    base_url: str,
    password: SecretStr | None,
    about: str,
    absent: str,
) -> Target:
    """A target without any control yet."""
    from .auth.client import Api, Credentials
    from .auth.raw import RawClient
    from .auth.record import Record

    profile = _profile(spec)
    record = Record()
    return Target(
        name=spec.name,
        about=about,
        base_url=base_url,
        profile=profile,
        api=Api(
            base_url,
            profile,
            Credentials(spec.user or profile.user, password or SecretStr("")),
            observe=record.observe,
        ),
        raw=RawClient.to(base_url, limit=_connections(spec, profile), observe=record.observe),
        record=record,
        controls=Controls.none(absent),
        trusted_network=spec.trusted_network,
    )


def _connections(spec: TargetSpec, profile: Profile) -> int:
    """Probes at once: what the model's socket pool takes, or what the profile says of a URL."""
    from .boards.table import model

    return model(spec.model).connections if spec.model else profile.connections


def _hostname(identity: Identity) -> str:
    from .boards.table import short_form

    return f"hil-{short_form(identity.unique_id)}"


def _url(spec: TargetSpec) -> Target:
    assert spec.url is not None, "config: kind url has one"
    target = _target(
        spec,
        spec.url.rstrip("/"),
        spec.secrets(os.environ).password,
        spec.url,
        f"{spec.name!r} is a URL: the bench has no hand on it",
    )
    _expect_answer(target, Deadline.after(10))
    return target


def _only_read(spec: TargetSpec) -> Target:
    """A board without ``provision: true``: found by its host name, and asked over HTTP only."""
    from .discovery import mdns

    if not spec.hostname:
        raise BenchError(
            "neither 'provision: true' nor a 'hostname': there is no way to reach it",
            target=spec.name,
            hint="add one of the two to its entry in devices.yaml",
        )
    address = mdns.resolve([spec.hostname], Deadline.after(MDNS_BUDGET_S))[spec.hostname]
    if address is None:
        raise BenchError(
            f"nobody answers for {spec.hostname}.local on mDNS",
            target=spec.name,
            hint="is the board on this network, and is its host name set?",
        )
    target = _target(
        spec,
        f"http://{address}",
        spec.secrets(os.environ).password,
        f"{spec.hostname}.local at {address}, only read",
        f"{spec.name!r} is only read: its entry in devices.yaml has no 'provision: true'",
    )
    _expect_answer(target, Deadline.after(10))
    return target


def _expect_answer(target: Target, deadline: Deadline) -> None:
    if not target.api.alive(deadline):
        raise BoardError(
            f"no HTTP answer from {target.base_url}",
            target=target.name,
            hint=f"'hil doctor {target.name}' tells more",
        )


def http_port(address: str) -> str:
    """``:8080`` for a virtual board, started by this run or by ``hil virtual up``: an ordinary user
    cannot give it port 80. Empty for a real one."""
    from .virtual import bus

    for record in bus.records(bus.default_bus()):
        if record.address == address:
            return f":{record.http_port}"
    return ""


def other_board(spec: TargetSpec, identity: Identity) -> BenchError | None:
    """Whether the port leads to another board than the one that devices.yaml lists."""
    found = identity.unique_id.hex()
    if spec.unique_id is None or found == spec.unique_id.lower():
        return None
    return BenchError(
        f"{spec.port or spec.usb_serial} leads to another board: devices.yaml lists unique_id"
        f" {spec.unique_id}, the board says {found} ({identity.machine})",
        target=spec.name,
        hint="have two boards been swapped? correct 'port' or 'unique_id' in devices.yaml",
    )


def _unproven(spec: TargetSpec, identity: Identity) -> list[str]:
    """A note for a port that tells nothing of the board behind it."""
    if spec.kind != "board" or spec.usb_serial or spec.unique_id:
        return []
    return [
        f"nothing proves that {spec.port} leads to the board that is meant: write "
        f"'unique_id: {identity.unique_id.hex()}' into devices.yaml"
    ]


@dataclass
class _Bringing:
    """One board on its way up. ``stack`` collects how to undo each step."""

    spec: TargetSpec
    state: Path
    stack: ExitStack
    rebooted: Callable[[], None] = lambda: None

    def up(self) -> Target:
        from .discovery.mdns import verify_address
        from .power import SwitchedPower
        from .recovery import Recovery
        from .revive import Revive

        spec, deadline = self.spec, Deadline.after(BRING_UP_BUDGET_S)
        flashed: tuple[str, ...] = ()
        given = spec.secrets(os.environ)
        password = given.password or self._made_up_password()
        virtual = self.virtual()
        if spec.flash or virtual:
            flashed = self._flash(spec.flash, virtual)
            deadline = Deadline.after(BRING_UP_BUDGET_S)  # flashing has a budget of its own
        link, power = self.attach(virtual, deadline)
        recovery = Recovery(link, power, self.bootloader())
        trouble = recovery.reach(deadline)
        self._require_unique_id(link, deadline)
        # From here on the application stands still: whatever fails, it is started again.
        self.stack.callback(self._put_back, link, recovery, powered_off=virtual is not None)
        if isinstance(power, SwitchedPower):
            self.stack.callback(power.on)
        identity, hostname, notes, deployed = self._provision(
            link, replace(given, password=password), deadline
        )
        notes += [trouble] if trouble else []
        link.hard_reset(deadline)

        resolved, address, more_notes = self._address(link, hostname, deadline)
        port = http_port(address)
        target = _target(
            spec,
            f"http://{address}{port}",
            password,
            f"{identity.machine}, MicroPython {identity.release}, "
            f"firmware {identity.version.partition(' ')[0] or 'unknown'}, "
            f"epoch {identity.epoch_year}, {hostname}.local at {address}{port}",
            "",
        )
        target.api.others, target.api.api_key = self._others, self._api_key
        # A name may lead to another board: boards of one model share their default host name. Then
        # whether somebody answers there says nothing of this one.
        answers = not resolved.collision and target.api.alive(
            deadline.sooner(target.profile.boot_timeout_s)
        )
        told = self._told_address(link, target.api.alive if answers else resumed, deadline)
        if problem := verify_address(resolved, told, target=spec.name):
            raise problem
        if not answers:
            raise no_answer(spec.name, f"no HTTP answer from {target.base_url}", link)
        controls = self._controls(target, link, virtual, power)
        return replace(
            target,
            unique_id=identity.unique_id,
            controls=controls,
            notes=(*flashed, *notes, *more_notes),
            recover=Revive(target, controls, link, recovery, deployed, target.api.credentials),
        )

    # --- finding it ---

    def restore(self) -> journal.Restored | None:
        """See :func:`restore`."""
        from .recovery import Recovery

        deadline = Deadline.after(PUT_BACK_BUDGET_S)
        virtual = self.virtual()
        link, power = self.attach(virtual, deadline)
        recovery = Recovery(link, power, self.bootloader())
        recovery.reach(deadline)
        self._require_unique_id(link, deadline)
        return self._put_back(link, recovery, powered_off=virtual is not None)

    def virtual(self) -> VirtualBoard | None:
        """Started, where it is one."""
        return self._power_virtual() if self.spec.kind == "virtual" else None

    def attach(
        self, virtual: VirtualBoard | None, deadline: Deadline
    ) -> tuple[BoardLink, PowerControl | Absent]:
        """Its serial link, not opened yet, and its power."""
        from .link.board import BoardLink

        link: BoardLink = self.stack.enter_context(
            BoardLink(
                self.spec.name,
                virtual.device if virtual else self._device(deadline),
                consent=self.spec.consent(),
                locate=None if virtual else self._find_device,
            )
        )
        return link, self._power(link, virtual)

    def _power(self, link: BoardLink, virtual: VirtualBoard | None) -> PowerControl | Absent:
        from .boards.table import model
        from .power import SwitchedPower, VirtualPower, switch_of

        def rebooted() -> None:
            self.rebooted()

        if virtual:
            return VirtualPower(virtual, link, rebooted)
        if self.spec.power is None:
            return Absent(f"nothing at {self.spec.name!r} switches its power")
        own_port = model(self.spec.model or "").identified_by_usb and "://" not in link.device
        switch = switch_of(self.spec.power)
        return SwitchedPower(switch, link, rebooted, port_stays=not own_port)

    def bootloader(self) -> Bootloader | Absent:
        """What sees the board in its bootloader, and gets it out."""
        return Absent("nothing here leads out of its bootloader")

    def _folder(self) -> Path:
        return (self.state / "boards" / self.spec.name).resolve()

    def _power_virtual(self) -> VirtualBoard:
        from .virtual.board import VirtualBoard

        board: VirtualBoard = self.stack.enter_context(
            VirtualBoard.start(self.spec.name, model=self.spec.model or "", state=self._folder())
        )
        return board

    def _made_up_password(self) -> SecretStr:
        """:raises ConfigError: the bench cannot give it to the application"""
        profile = _profile(self.spec)
        if profile.files.settings is None:
            raise ConfigError(
                f"{self.spec.where}: target {self.spec.name!r} needs a 'password': the profile "
                f"{profile.name!r} names no 'settings' file, in which the bench could set one",
                hint="export it, and write 'password: ${NAME}'; or describe the file in the "
                "profile's 'files:'",
            )
        return SecretStr(random_secrets.token_urlsafe(12))

    @cached_property
    def _others(self) -> Mapping[str, SecretStr]:
        """Made-up passwords of the profile's other users, where the settings file takes them."""
        profile, form = _profile(self.spec), _profile(self.spec).files.format
        if form is None or not form.sets_others:
            return {}
        names = profile.users - {self.spec.user or profile.user}
        return {name: SecretStr(random_secrets.token_urlsafe(12)) for name in sorted(names)}

    @cached_property
    def _api_key(self) -> SecretStr | None:
        """A made-up API key, where the settings file takes one."""
        form = _profile(self.spec).files.format
        return SecretStr(random_secrets.token_urlsafe(24)) if form and form.sets_api_key else None

    def _device(self, deadline: Deadline) -> str:
        """The port, or what says that it is missing, where its power may bring it."""
        from .discovery.usb import NotAttachedError

        try:
            return self._find_device(deadline)
        except NotAttachedError:
            if self.spec.power is None:
                raise
            return f"with the USB serial number {self.spec.usb_serial}"

    @cached_property
    def _find_device(self) -> Callable[[Deadline], str]:
        """It remembers where the board is plugged in, to know it again in its bootloader."""
        from .discovery.listed import Locator

        return Locator(self.spec)

    def _require_unique_id(self, link: BoardLink, deadline: Deadline) -> None:
        """A wrong board is asked in a pause: it goes on, and nothing has been written on it."""
        from .link.board import identify

        if self.spec.unique_id is None:
            return
        with link.paused(deadline, lambda _: True) as repl:
            identity = identify(repl, deadline)
        if problem := other_board(self.spec, identity):
            raise problem

    # --- what the board runs ---

    def _flash(self, wanted: FlashSpec | None, virtual: VirtualBoard | None) -> tuple[str, ...]:
        """The firmware; a note for the report where the board had it not.

        Where none is wanted, a virtual board's is built this moment: so every embedded run goes the
        way of a real board into its bootloader and back, and repairs one that lost its power there.
        """
        from . import flashing

        if wanted is None:
            assert virtual is not None, "a real board is flashed when its owner wants it"
            flashing.flash_fresh(self.spec, self.state, virtual)
            return ()
        outcome = flashing.flash(self.spec, wanted, self.state, virtual=virtual)
        return (flashing.told(outcome),) if outcome.written else ()

    def _provision(
        self,
        link: BoardLink,
        given: Secrets,
        deadline: Deadline,
    ) -> tuple[Identity, str, list[str], tuple[dict[str, bytes], str]]:
        """Journal, deploy, set the clock. Ends with the application stopped.

        :returns: who it is, its host name, what the reader should know, the files and their folder
        """
        from . import provision
        from .clock import rtc
        from .link import files
        from .link.board import identify

        spec, profile, notes = self.spec, _profile(self.spec), []
        with link.repl(deadline) as repl:
            identity = identify(repl, deadline)
            notes += _unproven(spec, identity)
            left = journal.restore(repl, deadline)
            if left:
                notes.append(f"restored what a killed run had left: {', '.join(left.paths)}")
            offset = left.clock_offset_s if left else rtc.read(repl, deadline).offset
            # The SD card where one is mounted, else the flash: main.py is looked up there.
            root = files.working_directory(repl, deadline)
            journal.begin(repl, self._kept(root), offset, deadline)

            # An application whose settings the bench cannot write has a name of its own.
            unnamed = not (profile.files.format and profile.files.format.sets_hostname)
            hostname = spec.hostname or (unnamed and identity.hostname) or _hostname(identity)
            folder = provision.reference() if spec.firmware == "camera" else Path(spec.firmware)
            tree = provision.application(folder, profile.files.written_by_the_application)
            if not files.frozen(repl, ["microdot"], deadline):
                tree |= provision.microdot_tree()
            if profile.files.settings and profile.files.format:
                tree[profile.files.settings] = self._settings(
                    repl, profile.files.settings, profile.files.format, given, hostname, deadline
                )
            files.sync(repl, tree, root, deadline)
            rtc.set_clock(repl, round(time.time()), deadline)
            rtc.require_ticking(repl, deadline)
        return identity, hostname, notes, (tree, root)

    def _kept(self, root: str) -> list[str]:
        """What is journaled: the application's own files, and from a card also the key on the
        flash, which the application may void (ROT-13).

        :param root: the board's working directory
        """
        from .boards.table import model

        own = _profile(self.spec).files
        kept = sorted(own.written_by_the_application)
        flash = model(self.spec.model).root if self.spec.model else root
        if own.secret and root != flash:
            kept.append(f"{flash}/{own.secret}")
        return kept

    def _settings(
        self,
        repl: Repl,
        path: str,
        form: SettingsFormat,
        given: Secrets,
        hostname: str,
        deadline: Deadline,
    ) -> SecretBytes:
        """The board keeps its own Wi-Fi where devices.yaml names none."""
        from .link import files
        from .settings_file import Values

        if self.spec.wifi:
            ssid, key = self.spec.wifi.ssid, given.wifi_key or SecretStr("")
        elif self.spec.kind == "virtual":
            ssid, key = "virtual", SecretStr("")
        else:
            had = files.exists(repl, path, deadline)
            ssid, key = form.wifi(files.read_file(repl, path, deadline) if had else None)
        return form.render(
            Values(
                user=self.spec.user or _profile(self.spec).user,
                password=given.password or SecretStr(""),
                hostname=hostname,
                wifi_ssid=ssid,
                wifi_key=key,
                others=self._others,
                api_key=self._api_key,
            )
        )

    def _put_back(
        self, link: BoardLink, recovery: Recovery, *, powered_off: bool
    ) -> journal.Restored | None:
        """The journal; then the application is started as it was found."""
        deadline = Deadline.after(BROKEN_PUT_BACK_S if recovery.broken else PUT_BACK_BUDGET_S)
        if not recovery.broken:
            recovery.reach(deadline)
        try:
            with link.repl(deadline) as repl:
                return journal.restore(repl, deadline)
        finally:
            if not powered_off:
                link.hard_reset(deadline)

    # --- where it answers ---

    def _address(
        self, link: BoardLink, hostname: str, deadline: Deadline
    ) -> tuple[Resolved, str, list[str]]:
        """From mDNS; from the board itself, with a note, where nobody answers there."""
        from .discovery import mdns

        found = mdns.lookup([hostname], deadline.sooner(MDNS_BUDGET_S))[hostname]
        if found.address:
            return found, found.address, []
        told = self._told_address(link, resumed, deadline)
        if not told:
            raise no_answer(self.spec.name, "it has no address", link, "is its Wi-Fi right?")
        note = f"{hostname}.local does not answer on mDNS: the address is the board's own word"
        return found, told, [note]

    @staticmethod
    def _told_address(
        link: BoardLink, answers: Callable[[Deadline], bool], deadline: Deadline
    ) -> str | None:
        from .link.board import identify

        with link.paused(deadline, answers) as repl:
            return identify(repl, deadline).address

    # --- what can be done to it ---

    def _controls(
        self,
        target: Target,
        link: BoardLink,
        virtual: VirtualBoard | None,
        power: PowerControl | Absent,
    ) -> Controls:
        from .boots import BootWatch
        from .clock.ntp import NtpServer
        from .clock.skew import ClockControl
        from .control import FileControl, MintControl, PasswordControl, SecretControl

        profile = target.profile

        def paused(deadline: Deadline) -> AbstractContextManager[Repl]:
            return link.paused(deadline, target.api.alive)

        files = FileControl(paused)
        secret = SecretControl(files, profile.files.secret) if profile.files.secret else None
        server = self.stack.enter_context(NtpServer())

        def route(ntp: NtpServer) -> str:
            assert virtual is not None
            virtual.control("route", destination="*:123", to=[ntp.host, ntp.port])
            return ntp.host

        if secret:
            self.rebooted = secret.rebooted
        reboot = Reboot(target, link, power, secret)
        no_file = f"the profile {profile.name!r} names no such file"
        return Controls(
            files=files,
            secret=secret or Absent(no_file),
            password=PasswordControl(files, target.api, profile.files.settings, form)
            if profile.files.settings and (form := profile.files.format)
            else Absent(no_file),
            mint=MintControl(secret, target.api) if secret else Absent(no_file),
            clock=ClockControl(
                paused, ntp=server, route=route if virtual else None, target=target.name
            ),
            reboot=reboot,
            power=power,
            card=self._card(link, virtual, power, reboot, profile),
            console=link.console,
            boots=BootWatch(link, paused),
        )

    def _card(
        self,
        link: BoardLink,
        virtual: VirtualBoard | None,
        power: PowerControl | Absent,
        reboot: Reboot,
        profile: Profile,
    ) -> CardControl | Absent:
        from .boards.table import model
        from .card import VirtualCard

        if virtual is None or isinstance(power, Absent):
            return Absent(f"nothing at {self.spec.name!r} can take its card out")
        row = model(self.spec.model or "")
        if row.card_root is None:
            return Absent(f"an {row.key} mounts no card at boot")
        own = (path for path in (profile.files.secret, *profile.files.state) if path)
        card = VirtualCard(virtual, link, power, reboot, row.root, row.card_root, frozenset(own))
        # The journal is on the flash, where it is looked for in the working directory.
        self.stack.callback(card.give_up)
        return card
