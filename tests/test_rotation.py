"""Rotation: a new signing key ends every token of the old one, and survives what boards go through.

A reset takes a real board seconds, so that several checks look at the same rotation: it is made
once for each target, recorded, and each check judges its own promise by the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest

from hil.auth import tokens, verdict
from hil.auth.contract import NotPromised
from hil.auth.grants import Grants
from hil.check import check, must, should
from hil.errors import BoardError, Finding, HilError, NotStartedError, Unavailable
from hil.secrets import SecretBytes, SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.card import CardControl
    from hil.control import FileControl, MintControl, PasswordControl, SecretControl
    from hil.power import PowerControl
    from hil.target import RebootControl, Target

DOCS = "OpenMV docs 10.9"
STORM = 20

_R = TypeVar("_R")
_recorded: dict[tuple[str, str], object] = {}


def recorded(kind: str, target: Target, make: Callable[[], _R]) -> _R:
    """Make it once for each target. What goes wrong with it is told to every check of it."""
    key = (kind, target.name)
    if key not in _recorded:
        try:
            _recorded[key] = make()
        except (HilError, Finding) as error:
            _recorded[key] = error
    made = _recorded[key]
    if isinstance(made, HilError | Finding):
        raise made
    return made  # type: ignore[return-value]


pytestmark = pytest.mark.usefixtures("bearer_control")


def use(api: Api, raw: RawClient, token: str) -> Answer:
    return raw.send(api.compose_resource(token=token))


def key_in(secret: SecretControl) -> SecretBytes:
    """What the key's file holds; empty where there is none, or a folder in its place."""
    try:
        return secret.read()
    except FileNotFoundError:
        return SecretBytes(b"")


class Rotation(NamedTuple):
    """One rotation and what was seen of it.

    :ivar before: the key of before
    :ivar after: the key of after
    :ivar deleted: a token of before, used after the key's file was deleted, before the reboot
    :ivar old: tokens of before, used after the reboot
    :ivar between: a token issued after the deletion and before the reboot, used after it
    :ivar fresh: a token of the new key
    :ivar second_boot: that token, after one more reboot
    :ivar basic: Basic credentials, after the rotation; None: there is no route for them
    :ivar revived: a token of before, after the old key was put back
    """

    before: SecretBytes
    deleted: Answer
    after: SecretBytes
    old: dict[str, Answer]
    between: Answer
    fresh: Answer
    basic: Answer | None
    second_boot: Answer
    revived: Answer


@pytest.fixture
def rotation(
    target: Target, api: Api, raw: RawClient, secret: SecretControl, reboot: RebootControl
) -> Rotation:
    """``secret.bin`` is deleted, the board rebooted; in the end the old key is put back."""

    def make() -> Rotation:
        before = secret.read()
        tokens_before = [api.token() for _ in range(3)]
        for token in tokens_before:
            verdict.accepted(use(api, raw, token), "a token, before the rotation")
        secret.delete()
        deleted = use(api, raw, tokens_before[0])
        issued_between = raw.send(api.compose_login())
        between = _token_in(issued_between, api)
        reboot()
        old = {f"token {i}": use(api, raw, t) for i, t in enumerate(tokens_before, 1)}
        after_between = use(api, raw, between) if between else issued_between
        after = key_in(secret)
        new = api.token()
        fresh = use(api, raw, new)
        basic = None
        if api.profile.given_basic:
            basic = raw.send(api.compose_basic(f"Basic {api.credentials.basic}"))
        reboot()
        second_boot = use(api, raw, new)
        secret.write(before)
        reboot()
        revived = use(api, raw, tokens_before[0])
        return Rotation(
            before, deleted, after, old, after_between, fresh, basic, second_boot, revived
        )

    return recorded("rotation", target, make)


def _token_in(answer: Answer, api: Api) -> SecretStr | None:
    """The token of a login's answer; None where it is refused, which is in order here."""
    if answer.status != 200:
        return None
    return SecretStr(answer.json()[api.profile.login.token_field])


@check("ROT-01", must, 'OpenMV docs 10.9 ("reuse the same bytes")')
def test_a_token_survives_a_reboot(api: Api, raw: RawClient, reboot: RebootControl) -> None:
    """Usual cause: the key is made anew at every boot, because its file was never written."""
    token = api.token()
    verdict.accepted(use(api, raw, token), "a fresh token")
    reboot()
    verdict.accepted(use(api, raw, token), "the same token, after a reboot")


@check("ROT-02", must, "OpenMV docs 10.9.1")
def test_a_rotation_ends_every_token(rotation: Rotation, profile: Profile) -> None:
    """``secret.bin`` deleted and the board rebooted: every old token is refused.

    Usual cause: a copy of the key elsewhere, or a constant as a fallback.
    """
    verdict.refused_all(rotation.old, "an old token", status=profile.bad_token)
    verdict.accepted(rotation.fresh, "a new token")


@check("ROT-03", must, DOCS)
def test_without_a_reboot_nothing_changes(rotation: Rotation) -> None:
    """The file is read at boot: until the next one the old tokens hold, as documented.

    Usual cause: the file is read at every request, and its absence ends in a 500.
    """
    verdict.accepted(rotation.deleted, "an old token, before the reboot")


@check("ROT-04", must, DOCS)
def test_a_token_issued_before_the_reboot_dies_with_it(
    rotation: Rotation, profile: Profile
) -> None:
    """Issued after the file was deleted, it is still signed with the old key.

    Usual cause: the key in memory is written back.
    """
    verdict.refused(
        rotation.between,
        "a token from between deletion and reboot",
        status=profile.bad_token | {503},
    )


def skip_if_made_by_bench(secret: SecretControl) -> None:
    if secret.made_by_bench:
        pytest.skip("needs a target that makes its key, but this one is given it by the bench")


@check("ROT-05", must, DOCS)
def test_the_new_key_is_new_and_of_full_length(
    rotation: Rotation, profile: Profile, secret: SecretControl
) -> None:
    """Usual cause: a seed that is the same at every boot."""
    skip_if_made_by_bench(secret)
    length = len(rotation.after)
    if length != profile.secret_bytes:
        raise Finding(f"the new key has {length} bytes; promised: {profile.secret_bytes}")
    if rotation.after == rotation.before:
        raise Finding("the new key is the old one; promised: fresh random bytes")
    if len(set(rotation.after)) < profile.secret_bytes // 4:
        raise Finding("the new key repeats a few bytes; promised: fresh random bytes")


@check("ROT-06", must, DOCS)
def test_a_token_of_the_new_key_survives_a_second_reboot(rotation: Rotation) -> None:
    """Usual cause: the new key is used, and not written."""
    verdict.accepted(rotation.fresh, "a token of the new key")
    verdict.accepted(rotation.second_boot, "the same token, after a second reboot")


@check("ROT-14", should, "ASVS 13.3.4")
def test_the_old_key_put_back_revives_its_tokens(rotation: Rotation) -> None:
    """A documented risk: whoever has a copy of the key's file has its tokens."""
    verdict.accepted(rotation.revived, "a token of the old key, after it was put back")


@check("ROT-16", must, DOCS)
def test_a_rotation_leaves_the_password_alone(rotation: Rotation, profile: Profile) -> None:
    """Usual cause: the password's hash is keyed with the signing key."""
    _ = profile.basic  # where there is no route for them: a skip
    assert rotation.basic is not None
    verdict.accepted(rotation.basic, "Basic credentials, after a rotation")


class Storm(NamedTuple):
    """Twenty reboots, the first ten of which are rotations; each while a request is going on.

    :ivar keys: the key after each rotation
    :ivar tokens: the same claims, signed by the board's key after each rotation
    :ivar boots: seconds from the reset to the answer
    """

    keys: list[SecretBytes]
    tokens: list[SecretStr]
    boots: list[float]


@pytest.fixture
def storm(
    target: Target,
    api: Api,
    raw: RawClient,
    profile: Profile,
    secret: SecretControl,
    reboot: RebootControl,
) -> Storm:
    """A request is begun and not ended, the board is reset, and it has to come up: twenty times."""

    def make() -> Storm:
        seen = Storm([], [], [])
        exp = profile.date(round(time.time()) + profile.token.lifetime_s)
        claims = {**profile.token.claims, "exp": exp}
        login = api.compose_login()
        for boot in range(STORM):
            if boot < STORM // 2:
                with suppress(FileNotFoundError):
                    secret.delete()
            with raw.hold(login[:-1]):
                began = time.monotonic()
                reboot()
                seen.boots.append(time.monotonic() - began)
            if boot < STORM // 2:
                seen.keys.append(key_in(secret))
                seen.tokens.append(tokens.mint(claims, seen.keys[-1]))
        verdict.accepted(use(api, raw, api.token()), "a fresh token, after twenty reboots")
        return seen

    return recorded("storm", target, make)


@check("ROT-07", must, "ASVS 11.5.1")
@pytest.mark.timeout(900)  # on a real board: twenty resets with Wi-Fi
def test_ten_rotations_make_ten_keys(storm: Storm, profile: Profile, secret: SecretControl) -> None:
    """And so the same claims give ten different tokens.

    Usual cause: a random generator that is seeded alike at every boot.
    """
    skip_if_made_by_bench(secret)
    if len(set(storm.keys)) != len(storm.keys) or len(set(storm.tokens)) != len(storm.tokens):
        raise Finding(
            f"{len(storm.keys)} rotations made {len(set(storm.keys))} keys; promised: each is new"
        )
    lengths = {len(key) for key in storm.keys}
    if lengths != {profile.secret_bytes}:
        raise Finding(f"keys of {sorted(lengths)} bytes; promised: {profile.secret_bytes}")


@check("ROT-18", must, "robustness")
@pytest.mark.timeout(900)  # on a real board: twenty resets with Wi-Fi
def test_it_comes_up_every_time(storm: Storm, profile: Profile) -> None:
    """Twenty resets, each in the middle of a request: it answers in time after every one.

    Usual cause: a server that does not start because its port is still taken; a half-written file.
    """
    if len(storm.boots) < STORM or max(storm.boots) > profile.boot_timeout_s:
        raise Finding(
            f"the slowest of {len(storm.boots)} boots took {max(storm.boots):.1f} s; "
            f"promised: {profile.boot_timeout_s:.0f} s"
        )


@check("ROT-08", must, "device coverage")
def test_every_kind_of_reset_rotates_alike(
    target: Target,
    api: Api,
    raw: RawClient,
    profile: Profile,
    secret: SecretControl,
    reboot: RebootControl,
) -> None:
    """Hard reset, watchdog and power cycle, as far as the bench has a control for them.

    A soft reset is not among them: on the cameras it does not start ``main.py``.

    Usual cause: memory that survives a reset, taken for the key.
    """
    answers = {}
    missing = []
    for kind in ("hard", "wdt", "power"):
        token = api.token()
        before = key_in(secret)
        with suppress(FileNotFoundError):
            secret.delete()
        try:
            # Not the fixture: a kind that is missing must not skip the others.
            target.controls.reboot(kind)  # type: ignore[operator]
        except Unavailable as absent:
            missing.append(str(absent))
            secret.write(before)
            continue
        answers[kind] = use(api, raw, token)
        if key_in(secret) == before:
            raise Finding(f"after a {kind} reset the key is the old one; promised: a new one")
    verdict.refused_all(answers, "an old token", status=profile.bad_token)
    if list(answers) == ["hard"]:
        pytest.skip(f"a hard reset rotates; {'; '.join(missing)}")


def resigned(answer: Answer, api: Api, profile: Profile, key: bytes) -> SecretStr:
    """A token that ``key`` would have signed: that of this login, but for its signature.

    Where there was no login, the claims that the profile knows of.
    """
    issued = _token_in(answer, api)
    if issued is None:
        exp = profile.date(round(time.time()) + profile.token.lifetime_s)
        return tokens.mint({**profile.token.claims, "exp": exp}, key)
    return tokens.sign(SecretStr(issued.rpartition(".")[0]), key)


@pytest.fixture
def without_a_key(target: Target) -> Iterator[None]:
    """The bench takes the signing key away: 503, no service, is an answer and no failure."""
    with target.record.promised(503):
        yield


class ShortKey(NamedTuple):
    """What became of a key's file of a wrong length, after a reboot.

    :ivar length: bytes that were written
    :ivar forged: a token signed with those bytes
    :ivar served: a login: accepted with a sound key, or refused because there is none
    :ivar now: length of the key's file after the reboot
    """

    length: int
    forged: Answer
    served: Answer
    now: int


@pytest.fixture
def short_keys(
    without_a_key: None,
    target: Target,
    api: Api,
    raw: RawClient,
    profile: Profile,
    secret: SecretControl,
    reboot: RebootControl,
) -> list[ShortKey]:
    """The key's file is cut to 0, 1 and 31 bytes, as by a power cut, and the board is rebooted.

    A server that does not start with such a key is not among them: it has refused it.
    """
    # The fixture takes a target that does not come up for a broken one.
    restart = target.controls.reboot if secret.made_by_bench else reboot

    def make() -> list[ShortKey]:
        seen, whole = [], secret.read()
        for length in (0, 1, 31):
            short = SecretBytes(whole[:length])
            secret.write(short)
            try:
                restart()  # type: ignore[operator]
            except NotStartedError:
                continue
            served = raw.send(api.compose_login())
            forged = resigned(served, api, profile, short)
            now = len(key_in(secret))
            seen.append(ShortKey(length, use(api, raw, forged), served, now))
        return seen

    return recorded("short keys", target, make)


@check("ROT-09", must, "RFC 7518 §3.2; CVE-2019-20933")
def test_an_empty_key_signs_nothing(short_keys: list[ShortKey], profile: Profile) -> None:
    """A ``secret.bin`` of 0 bytes, as a power cut leaves it: a token of the empty key is refused.

    Usual cause: the file is there, so it is read, and nobody looks at its length.
    """
    for empty in (key for key in short_keys if key.length == 0):
        verdict.refused(
            empty.forged, "a token signed with the empty key", status=profile.bad_token | {503}
        )
        verdict.refused(empty.served, "a sound key, or no service", status={200, 503})


@check("ROT-10", must, "RFC 7518 §3.2")
def test_a_short_key_is_replaced_or_refused(short_keys: list[ShortKey], profile: Profile) -> None:
    """A ``secret.bin`` of 1 and of 31 bytes signs nothing.

    Usual cause: the file is there, so it is read, and nobody looks at its length.
    """
    for key in (key for key in short_keys if key.length):
        verdict.refused(
            key.forged,
            f"a token signed with a key of {key.length} bytes",
            status=profile.bad_token | {503},
        )
        if key.served.status == 200 and key.now != profile.secret_bytes:
            verdict.broken(
                f"a key of {profile.secret_bytes} bytes, or no service",
                key.served,
                f"it serves, and the key's file has {key.now} bytes",
            )
        verdict.refused(key.served, "a sound key, or no service", status={200, 503})


def judge_key(
    when: str,
    old: SecretStr,
    api: Api,
    raw: RawClient,
    profile: Profile,
    secret: SecretControl,
) -> None:
    """After something went wrong with the key's file: a sound new key, or no tokens.

    :param old: a token of before, whose key is gone
    :raises Finding: it serves with a short, empty or half-written key, or with one that the next
        boot will not find; or ``old`` is accepted
    """
    served = raw.send(api.compose_login())
    verdict.refused(served, f"{when}: a sound key, or no service", status={200, 503})
    key = key_in(secret)
    # A cluster that was never written reads as zeros, or as ones. To HMAC zeros are as no key.
    weak = {"the empty key": b"", "a key of ones": b"\xff" * profile.secret_bytes}
    if len(key) < profile.secret_bytes:
        weak[f"the {len(key)} bytes in the key's file"] = key
    forged = {
        f"{when}: signed with {name}": resigned(served, api, profile, SecretBytes(short))
        for name, short in weak.items()
    }
    answers = verdict.probe(
        raw,
        {
            f"{when}: a token of before": api.compose_resource(token=old),
            **{name: api.compose_resource(token=token) for name, token in forged.items()},
        },
    )
    verdict.refused_all(
        answers,
        "no token of a key that is gone, empty or cut short",
        status=profile.bad_token | {503},
    )
    if served.status != 200:
        return
    if len(key) != profile.secret_bytes or len(set(key)) < profile.secret_bytes // 4:
        verdict.broken(
            f"{when}: a key of {profile.secret_bytes} random bytes, or no service",
            served,
            f"it serves, and the key's file has {len(key)} bytes, {len(set(key))} different ones",
        )
    kept = use(api, raw, resigned(served, api, profile, key))
    verdict.accepted(kept, f"{when}: a token of the key that the next boot will find")


@check("ROT-11", must, "robustness")
@pytest.mark.usefixtures("without_a_key")
@pytest.mark.timeout(1800)  # on a real board: two boots for each cut
def test_a_power_cut_leaves_a_sound_key_or_none(
    api: Api,
    raw: RawClient,
    profile: Profile,
    files: FileControl,
    secret: SecretControl,
    reboot: RebootControl,
    power: PowerControl,
    remark: Callable[[str, object], None],
) -> None:
    """The power goes at every point of the first boot, of the first login, and of a rotation.

    When it is back: the server comes up, with a key of full length or without tokens; no token of
    before the rotation is revived; the password holds.

    Usual cause: the key's file is there, so it is read, and nobody looks at its length; a state
    file that was cut short ends ``main.py`` at every boot.
    """
    state = _kept(files, profile.files.state)
    moments = {
        "first boot": (secret.path, *state),
        "rotation": (secret.path,),
        "first login": tuple(state),
    }
    try:
        for moment, missing in moments.items():
            boots = secret.path in missing
            work = api.compose_basic() if boots else api.compose_login()
            points = []
            for cut in power.cuts():
                old = api.token()
                for path in missing:
                    _remove(files, path)
                if boots:
                    power.off()
                else:
                    reboot()
                happened = cut.during(
                    lambda: _answers(raw, work),  # noqa: B023 - called here and now
                    within=profile.boot_timeout_s,
                )
                points += [cut.point] if happened else []
                when = f"power cut {cut.point} of the {moment}" if happened else f"after a {moment}"
                _come_up(reboot, when)
                if boots:
                    judge_key(when, old, api, raw, profile, secret)
                basic = raw.send(api.compose_basic(f"Basic {api.credentials.basic}"))
                verdict.accepted(basic, f"{when}: the password holds")
            told = f" ({points[0]} to {points[-1]})" if points else ""
            remark("power cuts", f"{moment}: {len(points)}{told}")
    finally:
        power.on()
        for path, content in state.items():
            files.write(path, content)


def _kept(files: FileControl, paths: Iterable[str]) -> dict[str, SecretBytes]:
    return {path: SecretBytes(files.read(path)) for path in paths if files.exists(path)}


def _remove(files: FileControl, path: str) -> None:
    with suppress(FileNotFoundError):
        files.remove(path)


def _answers(raw: RawClient, request: bytes) -> bool:
    return raw.send(request, timeout=2.0).status is not None


def _come_up(reboot: RebootControl, when: str) -> None:
    try:
        reboot("power")
    except (BoardError, Finding) as error:
        told = error.message if isinstance(error, BoardError) else str(error)
        raise Finding(f"{when}: {told}; promised: it comes up") from None


@check("ROT-12", should, "ASVS 16.5.3")
@pytest.mark.usefixtures("without_a_key")
def test_a_key_that_cannot_be_kept_is_not_used(
    api: Api,
    raw: RawClient,
    profile: Profile,
    files: FileControl,
    secret: SecretControl,
    reboot: RebootControl,
    remark: Callable[[str, object], None],
) -> None:
    """The flash is full, or a folder has the key's name: no tokens, or a key that stays.

    A flash that is read-only is not among them: no bench can make it so over a reset.

    Usual cause: a key in memory that is lost at the next boot; a default one.
    """
    old = api.token()
    secret.delete()
    files.make_folder(secret.path)
    try:
        reboot()
        judge_key("a folder in the key's place", old, api, raw, profile, secret)
    finally:
        with suppress(FileNotFoundError, BoardError):
            files.remove_folder(secret.path)
    _remove(files, secret.path)
    reboot()
    old = api.token()
    secret.delete()
    with files.filled() as free:
        if free:
            remark("not judged", f"a full flash: {free} bytes are too many to fill")
            return
        reboot()
        judge_key("the flash is full", old, api, raw, profile, secret)


@check("ROT-13", must, 'OpenMV docs 10.9 ("/sdcard if mounted, /flash otherwise")')
def test_a_key_left_behind_on_flash_revives_nothing(
    api: Api,
    raw: RawClient,
    profile: Profile,
    secret: SecretControl,
    reboot: RebootControl,
    card: CardControl,
) -> None:
    """Rotated on the SD card, then booted without it: tokens of the stale key on flash stay dead.

    The application runs from flash. A card is put in, with a copy of it and no key (OpenMV looks
    ``main.py`` up on the card then); the card's key is rotated; the card is taken out.

    Usual cause: a rotation ends the key of one working directory, and nobody thinks of the other's.
    """
    flash = api.token()
    verdict.accepted(use(api, raw, flash), "a token of the key on flash, before the card is in")
    card.insert()
    if not key_in(secret):
        raise Finding(
            f"with a card in, there is no {secret.path} on it; promised: the key is there"
        )
    first = api.token()
    verdict.accepted(use(api, raw, first), "a token of the card's key")
    secret.delete()
    reboot()
    card.remove()
    answers = {
        "of the key on flash": use(api, raw, flash),
        "of the card's first key": use(api, raw, first),
    }
    verdict.refused_all(answers, "a token from before the rotation", status=profile.bad_token)
    verdict.accepted(use(api, raw, api.token()), "a fresh token, without the card")


@check("ROT-15", should, "ASVS 7.4.3")
def test_a_changed_password_ends_its_tokens(
    api: Api, raw: RawClient, profile: Profile, password_control: PasswordControl
) -> None:
    """Its access tokens, and its refresh tokens, with which a thief would stay for weeks.

    Usual cause: nothing in a token depends on the password.
    """
    token = api.token()
    refresh = api.token(profile.given_refresh.field) if profile.given_refresh else None
    verdict.accepted(use(api, raw, token), "a token, before the change")
    password_control.change("a-new-password-17")
    answer = use(api, raw, token)
    verdict.refused(answer, "a token of the old password", status=profile.bad_token)
    if refresh is not None:
        # RFC 9700 section 4.14.2 names the password's change; RFC 6749 section 5.2 refuses by 400.
        answer = Grants(api, raw).refresh(refresh)
        verdict.refused(answer, "a refresh token of the old password", status=profile.bad_refresh)
    verdict.accepted(use(api, raw, api.token()), "a token of the new password")


@check("ROT-17", should, "exact bytes")
def test_one_byte_more_is_another_key(
    api: Api, raw: RawClient, profile: Profile, secret: SecretControl, reboot: RebootControl
) -> None:
    """A line feed behind the key, as an editor leaves it: old tokens are refused.

    Usual cause: ``strip()`` on what was read.
    """
    token = api.token()
    secret.write(SecretBytes(secret.read() + b"\n"))
    reboot()
    answer = use(api, raw, token)
    verdict.refused(answer, "a token of the key without it", status=profile.bad_token)


@check("ROT-19", must, "auth-adventures jwt_sketch.py")
def test_a_graceful_rotation_keeps_the_old_key_for_a_while(
    api: Api, raw: RawClient, profile: Profile, secret: SecretControl, reboot: RebootControl
) -> None:
    """The new key signs, and the old one still verifies until it is removed.

    Usual cause: only the first key of the list is tried; any of them signs.
    """
    between = profile.token.key_separator
    if between is None:
        raise NotPromised(f"the profile {profile.name!r} has one signing key, no list of them")
    old, new = secret.read(), SecretBytes(token_hex(profile.secret_bytes).encode())

    def of_the_old_key(token: str) -> Answer:
        signed = SecretStr(token.rpartition(".")[0])
        return use(api, raw, tokens.sign(signed, old, profile.token.algorithms[0]))

    secret.write(SecretBytes(new + between.encode() + old))
    reboot()
    fresh = api.token()
    verdict.accepted(use(api, raw, fresh), "a token of the new key, the first of two")
    verdict.accepted(of_the_old_key(fresh), "a token of the old key, the second of two")
    try:
        tokens.verify(fresh, new, profile.token.algorithms)
    except ValueError:
        raise Finding("another key signs; promised: the first of the list does") from None
    secret.write(new)
    reboot()
    answer = of_the_old_key(api.token())
    verdict.refused(answer, "a token of the old key, which was removed", status=profile.bad_token)


@check("ROT-20", must, "connexion tutorial")
def test_each_kind_of_token_has_a_key_of_its_own(
    api: Api,
    raw: RawClient,
    profile: Profile,
    grants: Grants,
    mint: MintControl,
    secret: SecretControl,
    reboot: RebootControl,
) -> None:
    """A new key for access tokens ends those, and no refresh token; those too where their key is
    derived from it (``key_label``).

    Usual cause: one key for all kinds; a derived key that is kept, and outlives what it came from.
    """
    if "refresh" not in profile.token_kinds:
        raise NotPromised("its refresh tokens are opaque: no key signs them")
    if mint.key("refresh") == mint.key("access"):
        raise NotPromised("it has one key for all kinds of tokens")
    grant = grants.login()
    secret.delete()
    reboot()
    verdict.refused(
        use(api, raw, grant.access), "an access token of the old key", status=profile.bad_token
    )
    answer = grants.refresh(grant.refresh)
    if "refresh" in profile.key_labels:
        verdict.refused(
            answer, "a refresh token, its key derived from the old", status=profile.bad_refresh
        )
    else:
        verdict.accepted(answer, "a refresh token, whose key is as it was")
