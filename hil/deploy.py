"""A board made ready for its checks, in one conversation: a journal of what it had, the application
with its settings, and the time."""

from __future__ import annotations

import os
import secrets as random_secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import journal
from .attachment import unproven
from .deadline import Deadline
from .errors import ConfigError
from .http_target import profile_of
from .secrets import SecretBytes, SecretStr
from .target import Software

if TYPE_CHECKING:
    from .config import Secrets, TargetSpec
    from .link.board import BoardLink, Identity
    from .link.repl import Repl
    from .settings_file import SettingsFormat


@dataclass(frozen=True)
class Deployed:
    """:ivar identity: who the board is
    :ivar hostname: what it was given, or has
    :ivar notes: what the reader of the report should know
    :ivar tree: the files, by their path from ``root``
    :ivar root: the board's working directory
    :ivar software: what runs on it from now on
    """

    identity: Identity
    hostname: str
    notes: list[str]
    tree: dict[str, bytes] = field(repr=False)
    root: str
    software: Software


def secrets_of(spec: TargetSpec) -> Secrets:
    """Those of devices.yaml; where it names no password, one is made up. So are those of further
    users, and an API key, where the application's settings take them.

    :raises ConfigError: the bench cannot give the password to the application
    """
    profile, given = profile_of(spec), spec.secrets(os.environ)
    form = profile.files.format
    if form and form.sets_others:
        names = profile.users - {spec.user or profile.user}
        given = replace(given, others={name: _made_up() for name in sorted(names)})
    if form and form.sets_api_key and given.api_key is None:
        given = replace(given, api_key=_made_up(24))
    if given.password:
        return given
    if profile.files.settings is None:
        raise ConfigError(
            f"{spec.where}: target {spec.name!r} needs a 'password': the profile "
            f"{profile.name!r} names no 'settings' file, in which the bench could set one",
            hint="export it, and write 'password: ${NAME}'; or describe the file in the "
            "profile's 'files:'",
        )
    return replace(given, password=_made_up())


def _made_up(size: int = 12) -> SecretStr:
    return SecretStr(random_secrets.token_urlsafe(size))


def deploy(
    spec: TargetSpec, link: BoardLink, given: Secrets, state: Path, deadline: Deadline
) -> Deployed:
    """Journal, deploy, set the clock. Ends with the application stopped.

    :param state: the folder for what outlives a run
    :raises BoardError: e.g. the flash is full, a file is not kept as it was sent, the RTC is dead
    :raises BenchError: there is no such application
    """
    from . import provision
    from .clock import rtc
    from .flash import record
    from .link import files
    from .link.board import identify

    profile, notes = profile_of(spec), []
    with link.repl(deadline) as repl:
        identity = identify(repl, deadline)
        notes += unproven(spec, identity)
        left = journal.restore(repl, deadline)
        if left:
            notes.append(f"restored what a killed run had left: {', '.join(left.paths)}")
        offset = left.clock_offset_s if left else rtc.read(repl, deadline).offset
        # The SD card where one is mounted, else the flash: main.py is looked up there.
        root = files.working_directory(repl, deadline)
        journal.begin(repl, _kept(spec, root), offset, deadline)

        # An application whose settings the bench cannot write has a name of its own.
        unnamed = not (profile.files.format and profile.files.format.sets_hostname)
        hostname = spec.hostname or (unnamed and identity.hostname) or _hostname(identity)
        folder = provision.reference() if spec.firmware == "camera" else Path(spec.firmware)
        tree = provision.application(folder, profile.files.written_by_the_application)
        reported = record.report(repl, deadline)
        if not files.frozen(repl, ["microdot"], deadline):
            tree |= provision.microdot_tree()
        application_sha256 = provision.sha256_of(tree)
        if profile.files.settings and profile.files.format:
            tree[profile.files.settings] = _settings(
                spec, repl, profile.files.settings, profile.files.format, given, hostname, deadline
            )
        files.sync(repl, tree, root, deadline)
        rtc.set_clock(repl, round(time.time()), deadline)
        rtc.require_ticking(repl, deadline)
    software = Software(
        reported.version,
        record.proven(state, identity.unique_id, reported),
        application_sha256,
        identity.epoch_year,
    )
    return Deployed(identity, hostname, notes, tree, root, software)


def _hostname(identity: Identity) -> str:
    from .boards.table import short_form

    return f"hil-{short_form(identity.unique_id)}"


def _kept(spec: TargetSpec, root: str) -> list[str]:
    """What is journaled: the application's own files, and from a card also the key on the
    flash, which the application may void (ROT-13).

    :param root: the board's working directory
    """
    from .boards.table import model

    own = profile_of(spec).files
    kept = sorted(own.written_by_the_application)
    flash = model(spec.model).root if spec.model else root
    if own.secret and root != flash:
        kept.append(f"{flash}/{own.secret}")
    return kept


def _settings(
    spec: TargetSpec,
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

    if spec.wifi:
        ssid, key = spec.wifi.ssid, given.wifi_key or SecretStr("")
    elif spec.kind == "virtual":
        ssid, key = "virtual", SecretStr("")
    else:
        had = files.exists(repl, path, deadline)
        ssid, key = form.wifi(files.read_file(repl, path, deadline) if had else None)
    return form.render(
        Values(
            user=spec.user or profile_of(spec).user,
            password=given.password or SecretStr(""),
            hostname=hostname,
            wifi_ssid=ssid,
            wifi_key=key,
            others=given.others,
            api_key=given.api_key,
        )
    )
