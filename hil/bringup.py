"""Bring one target up, and hand it over with the way to put it back.

The order of events is docs/explanation/what-happens-when.md.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from . import process
from .address import find_address, http_port, told_address
from .attachment import attach, power_virtual, require_listed
from .board_controls import controls_of
from .deadline import Deadline
from .deploy import deploy, secrets_of
from .errors import BenchError, ConfigError, Finding, HilError
from .http_target import http_target, of_url, profile_of, read_only
from .put_back import put_back
from .reboot import no_answer, resumed
from .target import Target

if TYPE_CHECKING:
    from .attachment import Attachment
    from .config import TargetSpec
    from .link.console import Console
    from .recovery import Recovery

# A real board: reset 3 s, Wi-Fi 4 s, and a first deploy of 270 KB over USB a few seconds more.
BRING_UP_BUDGET_S = 90.0


class Progress(Protocol):
    """Who wants to know how it goes."""

    def phase(self, name: str) -> None:
        """A step begins."""

    def listen(self, console: Console) -> None:
        """Here is what its application prints, from now on."""


class Quiet:
    """:class:`Progress` of which nobody wants to know."""

    def phase(self, name: str) -> None: ...

    def listen(self, console: Console) -> None: ...


def bring_up(spec: TargetSpec, state: Path, progress: Progress | None = None) -> Target:
    """The target, ready for its first check. Whoever calls holds its lock (:mod:`hil.bench`).

    :param state: folder for what outlives the run: the virtual boards' flash
    :raises BenchError: e.g. the port is missing or held
    :raises BoardError: e.g. the board does not boot, or its application does not answer
    """
    with ExitStack() as stack:
        try:
            target = _up(spec, state, stack, progress or Quiet())
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


def _up(spec: TargetSpec, state: Path, stack: ExitStack, progress: Progress) -> Target:
    """:param stack: how to undo each step"""
    try:
        if spec.kind == "process":
            progress.phase("start")
            return process.bring_up(spec, http_target, stack, progress.listen)
        if spec.provision:
            return _board(spec, state, stack, progress)
        progress.phase("answer")
        return of_url(spec) if spec.kind == "url" else read_only(spec)
    except OSError as error:
        # What nobody has foreseen is the host's: a disk, a limit, a network that is gone.
        told = f"{type(error).__name__}: {error}"
        raise BenchError(f"it cannot be brought up: {told}", target=spec.name) from error


def _board(spec: TargetSpec, state: Path, stack: ExitStack, progress: Progress) -> Target:
    """:param stack: how to undo each step"""
    from .discovery.mdns import verify_address
    from .link.interruption import interrupt
    from .power import SwitchedPower
    from .recovery import Recovery
    from .revive import Revive

    given = secrets_of(spec)
    progress.phase("power")
    board = attach(spec, power_virtual(spec, state, stack), stack)
    link = board.link
    progress.listen(link.console)
    recovery = Recovery(link, board.power, board.bootloader)
    progress.phase("flash")
    notes = _flash(spec, state, board, recovery)
    trouble = recovery.reach()
    # Flashing and recovering have times of their own.
    deadline = Deadline.after(BRING_UP_BUDGET_S)
    require_listed(spec, link, deadline)
    # From here on the application stands still: whatever fails, it is started again.
    stack.callback(put_back, link, recovery, powered_off=board.virtual is not None)
    if isinstance(board.power, SwitchedPower):
        stack.callback(board.power.on)
    progress.phase("deploy")
    deployed = deploy(spec, link, given, state, deadline)
    progress.phase("reset")
    link.hard_reset(deadline)

    hostname, identity = deployed.hostname, deployed.identity
    progress.phase("answer")
    boot_timeout_s = profile_of(spec).boot_timeout_s
    resolved, address, unresolved = find_address(link, hostname, boot_timeout_s, deadline)
    port = http_port(address)
    target = http_target(
        spec,
        f"http://{address}{port}",
        given.password,
        f"{identity.machine}, MicroPython {identity.release}, "
        f"firmware {identity.version.partition(' ')[0] or 'unknown'}, "
        f"epoch {identity.epoch_year}, {hostname}.local at {address}{port}",
        "",
        others=given.others,
        api_key=given.api_key,
    )
    # A name may lead to another board: boards of one model share their default host name. Then
    # whether somebody answers there says nothing of this one.
    answers = not resolved.collision and target.api.alive(
        deadline.sooner(target.profile.boot_timeout_s)
    )
    told = told_address(link, target.api.alive if answers else resumed, deadline)
    if problem := verify_address(resolved, told, target=spec.name):
        raise problem
    if not answers:
        raise no_answer(spec.name, f"no HTTP answer from {target.base_url}", link)
    controls = controls_of(board, target, stack)
    return replace(
        target,
        unique_id=identity.unique_id,
        software=deployed.software,
        controls=controls,
        notes=tuple(filter(None, (*notes, *deployed.notes, trouble, *unresolved))),
        recover=Revive(target, controls, link, recovery, deployed, target.api.credentials),
        interrupt=lambda deadline: interrupt(link, deadline, target.api.alive),
    )


def _flash(spec: TargetSpec, state: Path, board: Attachment, recovery: Recovery) -> tuple[str, ...]:
    """The firmware, where its owner wants one; a note for the report where the board had it not.

    Where none is wanted, a virtual board's is built this moment: so every embedded run goes the
    way of a real board into its bootloader and back, and repairs one that lost its power there.
    """
    from . import flashing
    from .flash.method import FlashError, RefusedError

    def flash() -> str:
        if spec.flash:
            outcome = flashing.flash(spec, spec.flash, state, virtual=board.virtual)
            return flashing.told(outcome) if outcome.written else ""
        if board.virtual:
            flashing.flash_fresh(spec, state, board.virtual)
        return ""

    try:
        return (flash(),)
    except (ConfigError, FlashError, RefusedError):
        raise
    except HilError:  # it is not there, or does not answer: nothing has been tried on it yet
        trouble = recovery.reach()
    board.link.close()  # flashing opens a link of its own
    return (trouble, flash())
