"""Servers that the bench starts: brought up, restarted, moved in time, and ended with the run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hil.auth import tokens
from hil.bench import Bench
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError, ConfigError, HilError, NotStartedError, Unavailable
from hil.process.faked_time import library
from hil.process.folder import run_folder
from hil.target import Absent, Target

SMALL = Path(__file__).with_name("small_server.py")
PROFILE = """
title: a small server
source: none
user: alice
boot_timeout_s: 20
login: {path: /login, token_field: token}
token: {lifetime_s: 600, algorithms: [HS256], claims: {sub: alice}}
resource: {method: GET, path: /data, answer: '{"ok": true}'}
api_key: {path: /key, answer: '{"ok": true}'}
"""
ENV = {
    "PORT": "{port}",
    "SECRET": "{secret}",
    "PASSWORD": "{password}",
    "API_KEY": "{api_key}",
}


def listed(folder: Path, *, command: str = "", more: str = "", **env: str) -> Bench:
    """A bench with one process target, ``small``."""
    (folder / "small.yaml").write_text(PROFILE)
    told = "\n".join(f"      {name}: '{value}'" for name, value in {**ENV, **env}.items() if value)
    (folder / "devices.yaml").write_text(
        f"targets:\n  small:\n    kind: process\n    profile: small.yaml\n{more}"
        f"    command: ['{{python}}', '{SMALL}'{command}]\n    env:\n{told}\n"
    )
    return Bench.plan(folder / "devices.yaml", folder, None)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Target]:
    bench = listed(tmp_path)
    yield bench.target("small")
    assert bench.close() == []


def refused(tmp_path: Path, **options: str) -> HilError:
    """Why it does not come up."""
    bench = listed(tmp_path, **options)
    with pytest.raises(HilError) as error:
        bench.target("small")
    bench.close()
    return error.value


def gone(pid: int) -> bool:
    """Waits until a process has ended."""
    deadline = Deadline.after(10)
    while not deadline.expired:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)  # no event tells of the end of somebody else's child
    return False


def removed(path: Path) -> bool:
    """Waits until it is not there any more."""
    deadline = Deadline.after(10)
    while path.exists() and not deadline.expired:
        time.sleep(0.01)  # inotify would tell, and needs a package
    return not path.exists()


def pid_of(target: Target) -> int:
    return target.recover._server.pid  # type: ignore[union-attr]


# --- up, and down ---


def test_it_comes_up_with_what_was_made_up_for_it(small: Target) -> None:
    assert small.api.resource(small.api.token()).status_code == 200
    assert small.raw.send(small.api.compose_key(key=small.api.api_key)).status == 200
    assert small.raw.send(small.api.compose_key(key="another")).status == 401
    assert "{python}" in small.about


def test_a_key_of_one_byte_is_no_secret(small: Target) -> None:
    """Else each of its letters would be hidden in what a reader shall read."""
    secret, reboot = small.controls.secret, small.controls.reboot
    assert not isinstance(secret, Absent)
    assert not isinstance(reboot, Absent)
    secret.write(b"G")
    reboot()
    assert repr(small.api.compose("GET", "/data")).startswith("GET /data")


def test_what_the_environment_has_for_it_is_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PASSWORD", "a password of its own")
    monkeypatch.setenv("SMALL_KEY", "a-key-of-its-own")
    more = "    password: ${SMALL_PASSWORD}\n    api_key: ${SMALL_KEY}\n"
    bench = listed(tmp_path, more=more)
    small = bench.target("small")
    assert small.api.credentials.password == "a password of its own"
    assert small.api.resource(small.api.token()).status_code == 200
    assert small.raw.send(small.api.compose_key(key="a-key-of-its-own")).status == 200
    assert bench.close() == []


def test_it_finds_the_benchs_provider_where_its_entry_says_so(tmp_path: Path) -> None:
    bench = listed(tmp_path, ISSUER="{provider:alice@example.com}")
    provider = bench.target("small").controls.provider
    assert not isinstance(provider, Absent)
    told = httpx.get(f"{provider.url}/.well-known/openid-configuration", trust_env=False)
    assert told.json()["issuer"] == provider.url
    assert bench.close() == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(provider.url, trust_env=False)


def test_it_has_ended_when_the_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench = listed(tmp_path, STATE="{state}")
    pid = pid_of(bench.target("small"))
    (folder,) = tmp_path.glob("hil-process-*")
    assert folder.stat().st_mode & 0o077 == 0
    assert bench.close() == []
    assert gone(pid)
    assert not folder.exists()


def test_a_run_folder_stays_as_long_as_anybody_has_its_lifeline(tmp_path: Path) -> None:
    """A program that still ends must not lose it, nor write it anew."""
    with run_folder() as folder:
        kept = os.dup(folder.lifeline)
        seen = []

        def end() -> None:
            seen.append(folder.path.exists())
            os.close(kept)

        ended = threading.Timer(0.3, end)
        ended.start()
    ended.join()
    assert seen == [True]
    assert not folder.path.exists()


def test_it_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves nobody to put anything back; and what it wrote may hold secrets."""
    listed(tmp_path, STATE="{state}", more=STORE)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = """
import sys, threading
from pathlib import Path
from hil.bench import Bench
target = Bench.plan(Path("devices.yaml"), Path.cwd(), None).target("small")
print(target.recover._server.pid, flush=True)
threading.Event().wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", run],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as killed:
        assert killed.stdout is not None
        pid = int(killed.stdout.readline())
        os.kill(pid, 0)
        (folder,) = temporary.glob("hil-process-*")
        (folder / "state" / "key").write_text("secret")
        killed.kill()
    assert gone(pid)
    assert removed(folder)
    assert not [one for one in Path("/dev/shm").glob("*faketime*") if str(pid) in one.name]


def test_what_ends_at_start_is_told_with_its_last_words_and_without_its_secrets(
    tmp_path: Path,
) -> None:
    """At once: not after all of its boot timeout."""
    began = time.monotonic()
    error = refused(tmp_path, command=", fails", more="    boot_timeout_s: 60\n")
    assert time.monotonic() - began < 30
    assert isinstance(error, NotStartedError)
    assert "ended with status 1 before it answered" in error.message
    assert "cannot open the database, <secret: 16 chars>" in error.message
    assert "my key is <secret: 64 chars>" in error.message


def test_a_package_that_is_missing_is_the_benchs_fault(tmp_path: Path) -> None:
    error = refused(tmp_path, command=", lacks")
    assert isinstance(error, BenchError)
    assert "a_package_that_nobody_has" in error.message


def test_what_does_not_answer_is_not_waited_for_longer_than_its_boot_may_take(
    tmp_path: Path,
) -> None:
    more = "    boot_timeout_s: 1\n"
    error = refused(tmp_path, PORT="{port:elsewhere}", OTHER="{port}", more=more)
    assert isinstance(error, BoardError)
    assert "no HTTP answer within 1 s" in error.message


def test_a_password_that_nobody_knows_is_missed_before_anything_starts(tmp_path: Path) -> None:
    error = refused(tmp_path, PASSWORD="constant")
    assert isinstance(error, ConfigError)
    assert "needs a password of 'alice'" in error.message


# --- restarted ---


def test_a_restart_keeps_what_it_was_given(small: Target) -> None:
    token, pid = small.api.token(), pid_of(small)
    small.controls.reboot("hard")  # type: ignore[operator]
    assert pid_of(small) != pid
    assert gone(pid)
    assert small.api.resource(token).status_code == 200
    with pytest.raises(Unavailable, match="reset by wdt"):
        small.controls.reboot("wdt")  # type: ignore[operator]


def test_a_rotation_counts_from_the_next_start_on(small: Target) -> None:
    secret, reboot = small.controls.secret, small.controls.reboot
    assert not isinstance(secret, Absent)
    before, token = secret.held(), small.api.token()
    secret.delete()
    assert not secret.exists()
    with pytest.raises(FileNotFoundError):
        secret.read()
    assert small.api.resource(token).status_code == 200
    reboot()  # type: ignore[operator]
    assert secret.held() == secret.read() != before
    assert small.api.resource(token).status_code == 401
    secret.write(before)
    assert secret.changed(before)
    reboot()  # type: ignore[operator]
    assert small.api.resource(token).status_code == 200
    assert not secret.changed(before)


def test_tokens_are_minted_with_the_key_that_it_was_given(small: Target) -> None:
    mint = small.controls.mint
    assert not isinstance(mint, Absent)
    assert small.api.resource(mint()).status_code == 200
    assert small.api.resource(mint(key=b"another")).status_code == 401
    assert mint.key("refresh") == mint.key("access"), "there is no other"
    with pytest.raises(Unavailable, match="email"):
        mint.key("email")
    assert not isinstance(small.controls.secret, Absent)
    small.controls.secret.write(b"the next one".ljust(32))
    assert small.api.resource(mint()).status_code == 200, "it still has the old one"


def test_the_key_of_each_kind_is_made_up_or_published(tmp_path: Path) -> None:
    bench = listed(tmp_path, OTHER="{secret:refresh}")
    with (tmp_path / "small.yaml").open("a") as profile:
        token = "{lifetime_s: 9, algorithms: [HS256], claims: {}}"
        profile.write(f"refresh: {{path: /refresh, token: {token}}}\n")
        profile.write(f"other_tokens: {{email: {token}}}\n")
        profile.write("published: {secrets: {email: 0ld, access: n0t-used}}\n")
    mint = bench.target("small").controls.mint
    assert not isinstance(mint, Absent)
    assert len(mint.key("access")) == len(mint.key("refresh")) == 64
    assert mint.key("access") != mint.key("refresh")
    assert mint.key("email") == b"0ld"
    claims = tokens.decode(mint(kind="email")).claims
    assert 0 < claims["exp"] - time.time() <= 10
    assert bench.close() == []


def test_published_secrets_serve_where_the_entry_has_no_placeholder(tmp_path: Path) -> None:
    bench = listed(tmp_path, SECRET="constant", PASSWORD="pw", API_KEY="")
    with (tmp_path / "small.yaml").open("a") as profile:
        profile.write("published: {passwords: {alice: pw}, secrets: {access: constant}}\n")
    target = bench.target("small")
    mint, controls = target.controls.mint, target.controls
    assert not isinstance(mint, Absent)
    assert target.api.resource(mint()).status_code == 200
    assert isinstance(controls.secret, Absent)
    assert isinstance(controls.password, Absent)
    assert "constant" not in repr(target.profile.published)
    assert bench.close() == []


def test_a_changed_password_is_changed_back(small: Target) -> None:
    control, old = small.controls.password, small.api.credentials
    assert not isinstance(control, Absent)
    with control.restored():
        control.change("another")
        assert small.api.login().status_code == 200
        assert small.api.login(password=old.password).status_code == 401
    assert small.api.credentials == old
    assert small.api.login().status_code == 200


def test_one_that_has_crashed_is_started_again_once(small: Target) -> None:
    assert small.recover is not None
    small.raw.send(small.api.compose("GET", "/crash"))
    told = small.recover(BoardError("no answer"))
    assert told == "no answer; started again: it had ended with status 3"
    assert small.api.login().status_code == 200
    with pytest.raises(BoardError, match="fails again"):
        small.recover(BoardError("no answer"))


def test_its_output_is_its_console(small: Target) -> None:
    console = small.controls.console
    assert not isinstance(console, Absent)
    small.api.login()
    console.wait_for("POST /login", Deadline.after(10))


def test_secrets_are_in_no_repr(small: Target) -> None:
    secret = small.controls.secret
    assert not isinstance(secret, Absent)
    key = secret.held().decode()
    shown = repr(small.api.compose("GET", f"/{key}?{small.api.api_key}&{small.api.credentials}"))
    assert key not in shown
    assert str(small.api.api_key) not in shown
    assert str(small.api.credentials.password) not in shown


# --- its clock ---


@pytest.fixture
def faketime(require_file: Callable[[str, str], Path]) -> None:
    if isinstance(library(), Absent):
        require_file("/usr/lib/faketime/libfaketimeMT.so.1", "faketime")


@pytest.mark.usefixtures("faketime")
def test_the_clock_of_a_process_that_runs_is_moved(small: Target) -> None:
    clock, pid = small.controls.clock, pid_of(small)
    assert not isinstance(clock, Absent)
    token = small.api.token()
    clock.skew(3600)
    assert small.api.resource(token).status_code == 401
    clock.restore()
    assert small.api.resource(token).status_code == 200
    assert abs(clock.now().offset) <= 0.51
    assert pid_of(small) == pid


@pytest.mark.usefixtures("faketime")
def test_a_token_holds_until_its_last_second(small: Target) -> None:
    clock = small.controls.clock
    assert not isinstance(clock, Absent)
    token = small.api.token()
    end = tokens.decode(token).claims["exp"]
    last = clock.at_second(end - 1, lambda: small.api.resource(token).status_code)
    over = clock.at_second(end, lambda: small.api.resource(token).status_code)
    assert (last.result, over.result) == (200, 401)


@pytest.mark.usefixtures("faketime")
def test_the_clock_survives_a_restart(small: Target) -> None:
    clock = small.controls.clock
    assert not isinstance(clock, Absent)
    clock.set(1_600_000_000)
    small.controls.reboot()  # type: ignore[operator]
    answer = small.api.request("GET", "/data")
    assert "Sep 2020" in answer.headers["Date"]


def test_without_libfaketime_there_is_no_clock_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.process.faked_time._PLACES", (str(tmp_path / "nowhere"),))
    bench = listed(tmp_path)
    clock = bench.target("small").controls.clock
    bench.close()
    assert isinstance(clock, Absent)
    assert "libfaketime is not installed" in clock.reason


# --- its services ---

STORE = (
    "    services:\n"
    "      store:\n"
    "        command: ['{python}', -m, http.server, '{port:store}', --bind, 127.0.0.1]\n"
)


def test_a_service_is_stopped_and_started_again(tmp_path: Path) -> None:
    bench = listed(tmp_path, more=STORE, STORE="{port:store}")
    target = bench.target("small")
    services, token = target.controls.services, target.api.token()
    assert not isinstance(services, Absent)
    assert target.api.resource(token).status_code == 200
    with services.down("store"):
        assert target.api.resource(token).status_code == 503
    assert target.api.resource(token).status_code == 200
    with pytest.raises(Unavailable, match="'stall'"), services.down("stall"):
        pass
    assert bench.close() == []


def test_a_service_that_does_not_start_is_the_benchs_fault(tmp_path: Path) -> None:
    broken = STORE.replace("http.server", "no_such_module")
    error = refused(tmp_path, more=broken, STORE="{port:store}")
    assert isinstance(error, BenchError)
    assert "service 'store': it ended with status 1" in error.message
    assert "no_such_module" in error.message


# --- a URL ---


def test_a_url_takes_password_and_api_key_from_the_environment(
    small: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url.yaml").write_text(
        f"targets:\n  there:\n    kind: url\n    url: {small.base_url}\n    profile: small.yaml\n"
        "    password: ${THERE_PASSWORD}\n    api_key: ${THERE_KEY}\n"
    )
    monkeypatch.setenv("THERE_PASSWORD", small.api.credentials.password)
    monkeypatch.setenv("THERE_KEY", str(small.api.api_key))
    bench = Bench.plan(tmp_path / "url.yaml", tmp_path, None)
    there = bench.target("there")
    assert there.api.resource(there.api.token()).status_code == 200
    assert there.raw.send(there.api.compose_key(key=there.api.api_key)).status == 200
    assert isinstance(there.controls.mint, Absent)
    bench.close()
    monkeypatch.delenv("THERE_KEY")
    bench = Bench.plan(tmp_path / "url.yaml", tmp_path, None)
    with pytest.raises(ConfigError, match="THERE_KEY, which is not set"):
        bench.target("there")
    bench.close()


def test_ctrl_c_at_the_terminal_is_the_benchs_alone(small: Target) -> None:
    """It goes to the terminal's foreground process group, of which the process is none."""
    assert os.getpgid(pid_of(small)) != os.getpgid(0)
    assert os.getsid(pid_of(small)) != os.getsid(0)


# --- hil list, doctor, lock, restore ---


def test_it_is_listed_by_its_command_and_its_profile(tmp_path: Path) -> None:
    from hil import config
    from hil.listing import rows

    listed(tmp_path)
    (row,) = rows(config.read(tmp_path / "devices.yaml"), bus=tmp_path / "bus")
    assert row.state == "process; profile small"
    assert row.port == f"{{python}} {SMALL}"


def test_there_is_nothing_to_hold_and_nothing_to_restore(tmp_path: Path) -> None:
    from hil import config, holding, restoring

    listed(tmp_path)
    inventory = config.read(tmp_path / "devices.yaml")
    assert holding.states(list(inventory.targets.values()), tmp_path) == []
    with pytest.raises(BenchError, match="it is a process: only boards are held"):
        holding.key_of(inventory.targets["small"], tmp_path)
    (outcome,) = restoring.restore(inventory, None, tmp_path, wait_s=0)
    assert outcome.status == "nothing"


def doctored(folder: Path) -> dict[str, tuple[str, str]]:
    """What is examined of it → status, and what is told."""
    from hil import config
    from hil.doctor import process

    spec = config.read(folder / "devices.yaml").targets["small"]
    found = process.examine(spec, Deadline.after(20))
    return {one.what: (one.status, one.told) for one in found}


def test_the_doctor_starts_it_and_tells_what_came_of_it(tmp_path: Path) -> None:
    listed(tmp_path, more=STORE)
    told = doctored(tmp_path)
    assert told["start"][0] == "ok"
    assert told["clock"][0] == ("note" if isinstance(library(), Absent) else "ok")
    listed(tmp_path, command=", fails")
    status, why = doctored(tmp_path)["start"]
    assert status == "fail"
    assert "cannot open the database" in why


def test_the_doctor_looks_its_programs_up(tmp_path: Path) -> None:
    more = "    services: {store: {command: [no-such-store, '{port:store}']}}\n"
    listed(tmp_path, more=more)
    told = doctored(tmp_path)
    assert told == {"service store": ("fail", "there is no program 'no-such-store' on PATH")}


def test_a_server_that_refuses_a_short_key_passes(tmp_path: Path) -> None:
    """It does not start with it: that is its refusal, and it is started again with a sound one."""
    listed(tmp_path, LEAST="32")
    checks = Path(__file__).parents[1] / "test_rotation.py"
    options = ["-m", "hil", "-q", "--devices", str(tmp_path / "devices.yaml")]
    chosen = ["-k", "empty_key or short_key or survives_a_reboot", str(checks)]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), *options, *chosen],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "\n3 passed" in ran.stdout, ran.stdout
