"""What the fixtures rest on: files, the key, the password, on a board whose application runs on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hil.bench import Bench
from hil.target import Absent, Controls, Target

EMBEDDED = """
targets:
  controlled:
    kind: virtual
    model: openmv-ae3
    provision: true
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIL_VIRTUAL_BUS", str(folder / "bus"))
        (folder / "devices.yaml").write_text(EMBEDDED)
        bench = Bench.plan(folder / "devices.yaml", folder, None)
        yield bench.target("controlled")
        assert bench.close() == []


def present(controls: Controls, name: str):  # type: ignore[no-untyped-def]
    control = getattr(controls, name)
    assert not isinstance(control, Absent)
    return control


def test_a_missing_file_is_a_missing_file(target: Target) -> None:
    files = present(target.controls, "files")
    with pytest.raises(FileNotFoundError):
        files.read("nowhere.bin")
    with pytest.raises(FileNotFoundError):
        files.remove("nowhere.bin")


def test_a_file_comes_back_and_the_application_runs_on(target: Target) -> None:
    files, data = present(target.controls, "files"), bytes(range(256)) * 9
    token = target.api.token()
    files.write("lens.bin", data)
    assert files.read("lens.bin") == data
    files.remove("lens.bin")
    assert not files.exists("lens.bin")
    assert target.api.resource(token).status_code == 200


def test_the_key_in_use_is_the_one_before_the_rotation_until_the_reboot(target: Target) -> None:
    secret, reboot = present(target.controls, "secret"), present(target.controls, "reboot")
    before = secret.held()
    secret.delete()
    assert secret.held() == before
    assert secret.changed(before)
    reboot()
    assert secret.held() != before
    assert len(secret.held()) == 32


def test_a_minted_token_is_as_good_as_an_issued_one(target: Target) -> None:
    mint = present(target.controls, "mint")
    assert target.api.resource(mint()).status_code == 200
    assert target.api.resource(mint(key=b"x" * 32)).status_code == 401
    assert target.api.resource(mint(without=["exp"])).status_code == 401


def test_a_changed_password_is_changed_back(target: Target) -> None:
    control, old = present(target.controls, "password"), target.api.credentials
    with control.restored():
        control.change("another")
        assert target.api.login().status_code == 200
        assert target.api.login(password=old.password).status_code == 401
    assert target.api.credentials == old
    assert target.api.login().status_code == 200


def test_power_loss_costs_the_clock_and_the_bench_sets_it(target: Target) -> None:
    present(target.controls, "reboot")("power")
    assert target.api.login().status_code == 200
    assert abs(present(target.controls, "clock").now().offset) < 2
