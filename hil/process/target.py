"""Bring a process target up: made up what it is given, its services and itself started, and the
controls over it. ``stack`` ends everything again."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import BoardError, ConfigError, HilError
from ..target import Absent, Controls, RebootControl, Target
from .controls import ProcessKeys, ProcessPassword, ProcessSecret
from .faked_time import FakedTime, library
from .folder import run_folder
from .made_up import ADDRESS, MadeUp
from .server import Server, Service, Services

if TYPE_CHECKING:
    from ..auth.client import Api
    from ..auth.provider import Provider
    from ..config import TargetSpec
    from ..link.console import Console
    from ..process_entry import ProcessSpec


def bring_up(
    spec: TargetSpec,
    reached: Callable[..., Target],
    stack: ExitStack,
    listen: Callable[[Console], object] = lambda _: None,
) -> Target:
    """:param reached: the target at a URL, without any control yet
    :param stack: ends what is started here
    :param listen: is given what it prints, before it is started
    :raises ConfigError: nobody knows a password of it
    :raises BenchError: it, or a service, cannot be started here
    :raises BoardError: it has ended, or does not answer
    """
    from ..auth.profile import load_profile

    process = spec.process
    assert process is not None, "config: kind process has one"
    user, given = spec.user or load_profile(spec.profile).user, spec.secrets(os.environ)
    folder = stack.enter_context(run_folder())
    data = folder.path / "state"
    data.mkdir()
    made = MadeUp.of(process, user, given, data)
    base_url = f"http://{ADDRESS}:{made.ports['']}"
    target = reached(
        spec,
        base_url,
        made.passwords.get(user) or given.password,
        f"{told_command(spec)} at {base_url}",
        f"{spec.name!r} is a process, and has none",
        others=made.passwords,
        api_key=made.api_key or given.api_key,
    )
    _require_password(spec, target)
    provider = _provider(process, made, stack)
    services = [
        Service(name, service, process.folder, made, holds=folder.lifeline)
        for name, service in process.services.items()
    ]
    for service in services:
        stack.callback(service.stop)
        service.start()

    api = target.api
    api.hidden = made.every

    def answers(deadline: Deadline, given_up: Callable[[], bool]) -> bool:
        return api.alive(deadline, path=process.ready, given_up=given_up)

    faketime = library()
    faked = (
        faketime
        if isinstance(faketime, Absent)
        else FakedTime(faketime, folder.path / "clock", lambda deadline: _date(api, process.ready))
    )
    server = Server(
        process,
        made,
        answers,
        target.profile.boot_timeout_s,
        faked if isinstance(faked, FakedTime) else None,
        holds=folder.lifeline,
    )
    stack.callback(server.stop)
    listen(server.console)
    server.start()
    if isinstance(faked, FakedTime) and not faked.moves(server.pid):
        faked = Absent("libfaketime does not get into the process: is it a static program?")
    controls = replace(_controls(target, server, services, faked), provider=provider)
    revive = _Revive(target, server, services, controls)
    return replace(target, controls=controls, recover=revive)


def _provider(process: ProcessSpec, made: MadeUp, stack: ExitStack) -> Provider | Absent:
    """The bench's own, where an entry has ``{provider}``: it listens before the server starts."""
    users = {one.name or made.user for one in process.placeholders if one.what == "provider"}
    if not users:
        return Absent("nothing of it has {provider} in devices.yaml")
    from ..auth.provider import Provider

    (user,) = users  # process_entry: one
    provider = stack.enter_context(Provider(user, ADDRESS))
    made.providers[user] = provider.url
    return provider


def _require_password(spec: TargetSpec, target: Target) -> None:
    profile = target.profile
    if (profile.given_login or profile.given_basic) and not target.api.credentials.password:
        raise ConfigError(
            f"{spec.where}: target {spec.name!r} needs a password of"
            f" {target.api.credentials.user!a}: give it one, by {{password}} in its 'command' or"
            " 'env'; or write 'password: ${NAME}', or the profile's 'published: passwords:'"
        )


def told_command(spec: TargetSpec) -> str:
    """The command as devices.yaml has it: with placeholders, without secrets."""
    assert spec.process is not None, "config: kind process has one"
    return " ".join(spec.process.command)


def _date(api: Api, path: str | None) -> int | None:
    """The ``Date`` of an answer, Unix seconds; None: it has none."""
    answer = api.ask(path)
    try:
        return round(parsedate_to_datetime(answer.header("Date") or "").timestamp())
    except ValueError:
        return None


def _controls(
    target: Target, server: Server, services: list[Service], clock: FakedTime | Absent
) -> Controls:
    from ..clock.skew import ClockControl
    from ..control import MintControl

    made, published = server.made, target.profile.published
    secret = ProcessSecret(server) if "access" in made.keys else None

    def reboot(kind: str = "hard") -> None:
        try:
            server.restart(kind)
        except HilError as error:
            error.target = error.target or target.name
            raise
        if secret:
            secret.rebooted()

    keys = ProcessKeys(server, published)
    known = secret or "access" in published.secrets
    no_secret = f"nothing of {target.name!r} has {{secret}} in devices.yaml"
    return replace(
        target.controls,
        files=Absent(f"{target.name!r} is a process, whose files the bench leaves alone"),
        secret=secret or Absent(no_secret),
        mint=MintControl(keys, target.api)
        if known
        else Absent(f"{no_secret}, and its profile publishes none"),
        password=ProcessPassword(server, target.api, reboot)
        if made.user in made.passwords
        else Absent(f"nothing of {target.name!r} has {{password}} in devices.yaml"),
        clock=clock
        if isinstance(clock, Absent)
        else ClockControl(lambda deadline: nullcontext(clock), target=target.name),
        reboot=reboot,
        console=server.console,
        services=Services(services)
        if services
        else Absent(f"devices.yaml lists no services of {target.name!r}"),
    )


class _Revive:
    """See :attr:`hil.target.Target.recover`: once in a run, started again with all that it was
    given first."""

    def __init__(
        self, target: Target, server: Server, services: list[Service], controls: Controls
    ) -> None:
        self._target = target
        self._server = server
        self._services = services
        self._reboot: RebootControl | Absent = controls.reboot
        self._clock = controls.clock
        self._first_keys = dict(server.made.keys)
        self._first_passwords = dict(server.made.passwords)
        self._credentials = target.api.credentials
        self._recovered = False

    def __call__(self, cause: HilError) -> str:
        told = cause.message.partition("\n")[0]
        if self._recovered:
            raise BoardError(
                f"it fails again after it was started again: {told}", target=self._target.name
            )
        self._recovered = True
        how = self._server.how_it_ended
        self._server.made.keys = dict(self._first_keys)
        self._server.made.passwords = dict(self._first_passwords)
        self._target.api.credentials = self._credentials
        for service in self._services:
            service.stop()
            service.start()
        if not isinstance(self._clock, Absent):
            self._clock.restore()
        assert not isinstance(self._reboot, Absent), "a process has one"
        self._reboot()
        return f"{told}; started again" + (f": it had {how}" if how else "")
