"""What a run leaves: everything that was done, when, at which board time; and no secret."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil import provision
from hil.auth.answer import Answer, Outcome
from hil.auth.tokens import mint
from hil.clock.rtc import BoardTime
from hil.report import events, runs
from hil.report.board_time import BoardTimeline
from hil.report.recorder import Recorder, new_name
from hil.report.secrecy import ConsoleFile, Secrets
from hil.target_spec import EnvReference, TargetSpec

DEVICES = """
targets:
  porch:
    kind: virtual
    model: openmv-n6
    provision: true
    firmware: firmware
    password: "${PORCH_PASSWORD}"
  gate:
    kind: url
    url: http://127.0.0.1:9
"""

CHECKS = """
    import pytest
    from hil.auth import verdict
    from hil.check import check, must, should

    @check("LOG-01", must, "one")
    def test_a_login(api, remark):
        assert api.login().status_code == 200
        remark("seen", "by the way")

    @check("ROT-02", must, "two")
    def test_a_rotation(api, secret, reboot, clock):
        token = api.token()
        clock.skew(-86_400)
        secret.delete()
        reboot()
        api.resource(token)

    @check("LOG-02", should, "three")
    def test_a_should(api):
        assert api.basic().status_code == 404

    @check("BAS-04", must, "four")
    def test_a_finding(api, raw):
        '''It is refused.

        Usual cause: it is not.
        '''
        verdict.refused(raw.send(api.compose_basic(f"Basic {api.credentials.basic}")), "x",
                        status={401})

    @check("BAS-05", must, "five")
    def test_a_skip():
        pytest.skip("for this reason")

    @check("REF-01", must, "seven")
    def test_what_the_profile_does_not_promise(profile):
        profile.refresh

    @check("BAS-06", must, "six")
    def test_what_nobody_has_foreseen(api):
        raise RuntimeError(f"with {api.credentials.password} in it")
"""

PASSWORD = "correct-horse-battery"
E = TypeVar("E", bound=events.Event)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """One run on a virtual board that prints what it should not, and beside it a target that is not
    there."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "test_mine.py").write_text("\n".join(line[4:] for line in CHECKS.splitlines()))
    (folder / "devices.yaml").write_text(DEVICES)
    shutil.copytree(provision.reference(), folder / "firmware")
    app = folder / "firmware" / "app.py"
    text = app.read_text()
    assert text.count('"hi "') == 1
    app.write_text(text.replace('"hi "', '(print(request.headers) or "hi ")'))
    main = folder / "firmware" / "main.py"
    main.write_text(f"print('the password is', {PASSWORD!r})\n{main.read_text()}")
    own = {"HIL_VIRTUAL_BUS": str(folder / "bus"), "PORCH_PASSWORD": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "hil", "-p", "no:cacheprovider"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "HIL_DEVICES"} | own,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return runs.Run.load(runs.find(folder / "artifacts"))


def of(target: runs.TargetRun, kind: type[E], check: str | None = None) -> list[E]:
    return [
        event
        for event in target.events
        if isinstance(event, kind) and check in (None, getattr(event, "check", None))
    ]


def test_the_run_tells_of_itself(run: runs.Run) -> None:
    assert run.begin.targets == ("porch", "gate")
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", run.name)
    assert run.end
    assert run.end.exit_status == 1
    assert 0 < run.end.took_s < 90
    assert (run.folder.parent / ".gitignore").read_text().endswith("*\n")


def test_each_verdict_has_its_fault(run: runs.Run) -> None:
    porch = run.targets["porch"].verdicts
    assert {check: (one.verdict, one.fault) for check, one in porch.items()} == {
        "LOG-01": ("passed", None),
        "ROT-02": ("passed", None),
        "LOG-02": ("advisory", "firmware"),
        "BAS-04": ("finding", "firmware"),
        "BAS-05": ("skipped", None),
        "REF-01": ("skipped", None),
        "BAS-06": ("error", "bench"),
    }
    finding = porch["BAS-04"]
    assert (finding.title, finding.source, finding.severity) == ("a finding", "four", "must")
    assert (finding.promise, finding.cause) == ("It is refused.", "it is not.")
    assert "got accepted 200" in finding.message
    assert "on the board" in finding.clock
    assert (porch["BAS-05"].message, porch["BAS-05"].not_promised) == ("for this reason", False)
    assert porch["REF-01"].message == "its profile has no refresh tokens"
    assert porch["REF-01"].not_promised
    (remark,) = of(run.targets["porch"], events.Remark)
    assert (remark.check, remark.name, remark.value) == ("LOG-01", "seen", "by the way")


def test_a_target_that_is_not_there_is_down(run: runs.Run) -> None:
    gate = run.targets["gate"]
    assert gate.up is None
    assert gate.down
    assert gate.down.fault == "board"
    assert "no HTTP answer" in gate.down.message
    assert gate.counts() == {"error": 1, "skipped": 6}
    assert not any(one.not_promised for one in gate.verdicts.values())


def test_what_runs_on_a_board_is_told_by_hash(run: runs.Run) -> None:
    porch = run.targets["porch"]
    assert porch.begin
    assert porch.begin.listed == "devices.yaml:3"
    assert porch.up
    assert porch.up.firmware
    assert "MicroPython" in porch.up.firmware
    hashes = [
        porch.up.application_sha256,
        porch.up.profile_sha256,
        *porch.up.firmware_sha256.values(),
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", one or "") for one in hashes)
    assert len(hashes) == 3
    assert porch.up.epoch == 2000
    phases = [event.phase for event in of(porch, events.Phase)]
    assert phases == ["lock", "power", "flash", "deploy", "reset", "answer"]
    assert porch.put_back
    assert porch.put_back.problem is None


def test_what_was_sent_and_got_is_told_with_the_boards_time(run: runs.Run) -> None:
    (login,) = of(run.targets["porch"], events.Exchange, "LOG-01")
    assert login.sent.startswith("POST /api/login HTTP/1.1 | ")
    assert login.got.startswith("accepted 200 OK")
    assert login.status == 200
    assert "cache-control: no-store" in [header.lower() for header in login.headers]
    assert login.took_s is not None
    assert 0 < login.took_s < 10
    assert login.board
    assert abs(login.board.unix - login.at) <= 1.5
    assert 0 < login.board.uncertainty_s < 5


def test_a_rotation_can_be_followed(run: runs.Run) -> None:
    """The token's life against the board's clock, through skew, rotation and reboot."""
    porch = run.targets["porch"]
    order = [
        event
        for event in porch.events
        if getattr(event, "check", "") == "ROT-02"
        and isinstance(event, events.Exchange | events.ClockSeen | events.KeyChange | events.Boot)
    ]
    told = [getattr(event, "action", event.event) for event in order]
    assert told[:3] == ["exchange", "skew", "deleted"]
    assert "boot" in told
    issued, used = of(porch, events.Exchange, "ROT-02")[:2]
    assert issued.token
    assert used.token
    assert issued.token == used.token, "the same token, known by its fingerprint"
    assert issued.token.exp
    assert used.status == 401
    assert used.board
    assert used.board.unix - used.at == pytest.approx(-86_400, abs=3)
    # The fixtures put back what the check has changed, and that is told, too.
    after = told[told.index("boot") + 1 :]
    assert {"restore", "written", "boot"} <= set(after)


def test_the_console_is_beside_it_without_its_secrets(run: runs.Run) -> None:
    porch = run.targets["porch"]
    assert "the password is <secret: 21 chars>" in porch.console
    assert "camera: listening" in porch.console
    assert "'authorization': 'Basic <secret: 36 chars>'" in porch.console


def test_no_file_has_the_password(run: runs.Run) -> None:
    forms = [PASSWORD, base64.b64encode(f"owner:{PASSWORD}".encode()).decode()]
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path, form in itertools.product(files, forms):
        assert form not in path.read_text(), path


def test_each_line_is_json_for_any_other_reader(run: runs.Run) -> None:
    for line in (run.folder / "porch" / runs.EVIDENCE_FILE).read_text().splitlines():
        assert set(json.loads(line)) >= {"event", "at"}


# -- parts -----------------------------------------------------------------------------------------


def spec(**more: object) -> TargetSpec:
    return TargetSpec(name="porch", where="x:1:1", kind="board", **more)  # type: ignore[arg-type]


@given(data=st.data())
def test_a_secret_that_comes_in_pieces_is_hidden_all_the_same(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("P", PASSWORD)
        secrets = Secrets(spec(password=EnvReference("P", "x:1:1")))
    token = mint({"sub": "owner"}, b"k" * 32)
    key = b"\x01\x02signing key"
    secrets.key(key)
    text = f"a {PASSWORD} b\nc {token} d\n{key.hex()}\nnot ended {PASSWORD}"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    written: dict[str, bytes] = {}

    def append(name: str, more: bytes) -> None:
        written[name] = written.get(name, b"") + more

    console = ConsoleFile(append, secrets)
    for start, end in itertools.pairwise([0, *cuts, len(text)]):
        console.add(text[start:end])
    console.end()
    shown = written[runs.CONSOLE_FILE].decode()
    assert shown.startswith("a <secret: 21 chars> b\nc <token: ")
    assert shown.endswith("not ended <secret: 21 chars>\n")
    assert not any(one in shown for one in (PASSWORD, str(token), key.hex()))


def test_tracebacks_have_a_file_of_their_own() -> None:
    written: dict[str, bytes] = {}
    console = ConsoleFile(
        lambda name, more: written.update({name: written.get(name, b"") + more}), Secrets(spec())
    )
    raised = 'Traceback (most recent call last):\n  File "main.py", line 3, in f\nOSError: 28\n'
    console.add(f"before\n{raised[:40]}")
    console.add(f"{raised[40:]}between\n{raised}")
    console.end()
    assert written[runs.TRACEBACKS_FILE].decode() == f"{raised}\n{raised}\n"
    assert written[runs.CONSOLE_FILE].decode() == f"before\n{raised}between\n{raised}"


def test_what_is_not_known_of_the_boards_clock_grows() -> None:
    line = BoardTimeline()
    assert line.at(1000.0) is None
    line.seen(BoardTime(unix=5000.0, uncertainty=0.5, epoch=1970, host=1000.0, second=5000))
    now, later = line.at(1000.0), line.at(2000.0)
    assert now
    assert later
    assert (now.unix, now.uncertainty_s) == (5000.0, 0.5)
    assert later.unix == 6000.0
    assert later.uncertainty_s > 0.5 + 1000 * 100e-6, "a crystal of 50 ppm, and a slewed host"
    line.forget()
    assert line.at(2000.0) is None


@pytest.mark.parametrize(("kind", "known"), [("hard", True), ("wdt", True), ("power", False)])
def test_after_a_loss_of_power_the_boards_time_is_not_known(
    tmp_path: Path, kind: str, known: bool
) -> None:
    target = Recorder(tmp_path, "run").target(spec())
    now = time.time()
    target.clock("read", BoardTime(unix=now, uncertainty=0.5, epoch=1970, host=now, second=0))
    target.boot(kind, 1.0)
    target._exchange(Answer(Outcome.NO_ANSWER, request=b"GET / HTTP/1.1\r\n\r\n", sent_at=now))
    (asked,) = of(runs.TargetRun.load(tmp_path / "run" / "porch"), events.Exchange)
    assert (asked.board is not None) == known


def test_a_token_has_another_fingerprint_in_each_run(tmp_path: Path) -> None:
    token = str(mint({"iat": 1, "exp": 2.5, "nbf": "no number"}, b"k" * 32)).encode()
    request = b"GET / HTTP/1.1\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    first, second = Recorder(tmp_path, "a"), Recorder(tmp_path, "b")
    seen = first.token(request)
    assert seen
    assert seen == first.token(b'{"token": "' + token + b'"}')
    assert (seen.iat, seen.nbf, seen.exp) == (1.0, None, 2.5)
    other = second.token(request)
    assert other
    assert other.id != seen.id


@given(data=st.binary(max_size=200))
def test_whatever_a_board_sends_has_a_token_or_none(data: bytes) -> None:
    Recorder(Path("nowhere"), "x").token(b"eyJ0eXAi." + data + b".x eyJhbGciOiJIUzI1NiJ9.e30.")


def test_what_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "run")
    (tmp_path / "run").write_text("a file where the folder should be")
    target = recorder.target(spec())
    target.note("first")
    target.note("second")
    (problem,) = recorder.problems.values()
    assert problem.startswith("its evidence in ")
    assert "is not whole" in problem


def test_the_names_of_runs_sort_by_time() -> None:
    before = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = [new_name() for _ in range(50)]
    assert len(set(names)) == 50
    assert all(name >= before for name in names)
