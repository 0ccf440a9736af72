"""All that the bench can do to a board whose application runs: :class:`hil.target.Controls`."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from .deadline import Deadline
from .reboot import Reboot
from .target import Absent, Controls, Target

if TYPE_CHECKING:
    from .attachment import Attachment
    from .card import CardControl
    from .clock.ntp import NtpServer
    from .link.repl import Repl


def controls_of(board: Attachment, target: Target, stack: ExitStack) -> Controls:
    """:param target: how its application is reached
    :param stack: ends what is started for them, and takes the card out
    """
    from .boots import BootWatch
    from .clock.ntp import NtpServer
    from .clock.rtc import opened
    from .clock.skew import ClockControl
    from .control import FileControl, MintControl, PasswordFile, SecretFile

    profile, link, virtual = target.profile, board.link, board.virtual

    def paused(deadline: Deadline) -> AbstractContextManager[Repl]:
        return link.paused(deadline, target.api.alive)

    files = FileControl(paused)
    key = profile.files.secret
    secret = SecretFile(files, key, profile.key_labels) if key else None
    server = stack.enter_context(NtpServer())

    def route(ntp: NtpServer) -> str:
        assert virtual is not None
        virtual.control("route", destination="*:123", to=[ntp.host, ntp.port])
        return ntp.host

    if secret:
        board.rebooted = secret.rebooted
    reboot = Reboot(target, link, board.power, secret)
    no_file = f"the profile {profile.name!r} names no such file"
    return Controls(
        files=files,
        secret=secret or Absent(no_file),
        password=PasswordFile(files, target.api, profile.files.settings, form)
        if profile.files.settings and (form := profile.files.format)
        else Absent(no_file),
        mint=MintControl(secret, target.api) if secret else Absent(no_file),
        clock=ClockControl(
            opened(paused), ntp=server, route=route if virtual else None, target=target.name
        ),
        reboot=reboot,
        power=board.power,
        card=_card(board, target, reboot, stack),
        console=link.console,
        boots=BootWatch(link, paused),
    )


def _card(
    board: Attachment, target: Target, reboot: Reboot, stack: ExitStack
) -> CardControl | Absent:
    from .boards.table import model
    from .card import VirtualCard

    virtual, power = board.virtual, board.power
    if virtual is None or isinstance(power, Absent):
        return Absent(f"nothing at {target.name!r} can take its card out")
    row = model(virtual.model)
    if row.card_root is None:
        return Absent(f"an {row.key} mounts no card at boot")
    files = target.profile.files
    own = frozenset(path for path in (files.secret, *files.state) if path)
    card = VirtualCard(virtual, board.link, power, reboot, row.root, row.card_root, own)
    # The journal is on the flash, where it is looked for in the working directory.
    stack.callback(card.give_up)
    return card
