"""A target as it is reached over HTTP, without any control yet: all there is of a URL, and of a
board that is only read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BenchError, BoardError
from .secrets import SecretStr
from .target import Controls, Target

if TYPE_CHECKING:
    from .auth.profile import Profile
    from .config import TargetSpec

# A responder answers within 120 ms (RFC 6762 §6); a resolver asks three times in three seconds.
MDNS_BUDGET_S = 3.0


def of_url(spec: TargetSpec) -> Target:
    """A URL of devices.yaml.

    :raises BoardError: nobody answers there
    """
    assert spec.url is not None, "config: kind url has one"
    given = spec.secrets(os.environ)
    target = http_target(
        spec,
        spec.url.rstrip("/"),
        given.password,
        spec.url,
        f"{spec.name!r} is a URL: the bench has no hand on it",
        api_key=given.api_key,
    )
    _expect_answer(target, Deadline.after(10))
    return target


def read_only(spec: TargetSpec) -> Target:
    """A board without ``provision: true``: found by its host name, and asked over HTTP only.

    :raises BenchError: it has no host name, or nobody answers to it
    :raises BoardError: it does not answer HTTP
    """
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
    target = http_target(
        spec,
        f"http://{address}",
        spec.secrets(os.environ).password,
        f"{spec.hostname}.local at {address}, only read",
        f"{spec.name!r} is only read: its entry in devices.yaml has no 'provision: true'",
    )
    _expect_answer(target, Deadline.after(10))
    return target


def http_target(
    spec: TargetSpec,
    base_url: str,
    password: SecretStr | None,
    about: str,
    absent: str,
    *,
    others: Mapping[str, SecretStr] | None = None,
    api_key: SecretStr | None = None,
) -> Target:
    """A target without any control yet.

    :param password: None: what the profile publishes
    :param others: further users' passwords, besides those
    :param api_key: None: likewise
    """
    from .auth.client import Api, Credentials
    from .auth.raw import RawClient
    from .auth.record import Record

    profile = profile_of(spec)
    user, published = spec.user or profile.user, profile.published
    password = password or published.passwords.get(user) or SecretStr("")
    record = Record()
    api = Api(base_url, profile, Credentials(user, password), observe=record.observe)
    api.others = {**published.passwords, **(others or {})}
    api.api_key = api_key or published.api_key
    return Target(
        name=spec.name,
        about=about,
        base_url=base_url,
        profile=profile,
        api=api,
        raw=RawClient.to(base_url, limit=_connections(spec, profile), observe=record.observe),
        record=record,
        controls=Controls.none(absent),
        trusted_network=spec.trusted_network,
    )


def profile_of(spec: TargetSpec) -> Profile:
    """What the target is held to; its own entry knows better how long its model takes to boot."""
    from .auth.profile import load_profile

    profile = load_profile(spec.profile)
    if spec.boot_timeout_s is None:
        return profile
    return profile.model_copy(update={"boot_timeout_s": spec.boot_timeout_s})


def _connections(spec: TargetSpec, profile: Profile) -> int:
    """Probes at once: what the model's socket pool takes, or what the profile says of a URL."""
    from .boards.table import model

    return model(spec.model).connections if spec.model else profile.connections


def _expect_answer(target: Target, deadline: Deadline) -> None:
    if not target.api.alive(deadline):
        raise BoardError(
            f"no HTTP answer from {target.base_url}",
            target=target.name,
            hint=f"'hil doctor {target.name}' tells more",
        )
