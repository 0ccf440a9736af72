"""What is refused before a board is touched, and what an image tells of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import CONSENT

from hil.boards.table import model, models
from hil.consent import NoConsentError
from hil.flash.approval import approve
from hil.flash.image import runs, targets_in, versions_in
from hil.flash.method import Image, Job, Reason, RefusedError, Step, method, methods
from hil.link.board import BoardLink

N6_IMAGE = b"\0OPENMV_N6 with STM32N657X0\0" + bytes(100)


def job(key: str, *images: Image) -> Job:
    row = model(key)
    # The link leads nowhere: whoever uses it fails.
    link = BoardLink("porch", "/nowhere", consent=CONSENT)
    return Job("porch", row, row.flash_method or "", images, link, CONSENT)


def refusal(key: str, *images: Image) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        approve(job(key, *images))
    assert caught.value.step is Step.CHECK
    assert caught.value.hint
    assert str(caught.value).startswith("porch: not flashed: ")
    return caught.value


def test_a_sound_job_is_approved():
    approve(job("openmv-n6", Image("FIRMWARE", N6_IMAGE)))
    approve(job("openmv-ae3", Image("HP", b"\1"), Image("HE", b"\2"), Image("ROMFS0", b"\3")))


@pytest.mark.parametrize("said", [None, True, "yes"])
def test_there_is_no_job_without_the_owners_consent(said):
    with pytest.raises(NoConsentError, match=r"porch: flashing it is refused.*\n.*provision: true"):
        replace(job("openmv-n6", Image("FIRMWARE", N6_IMAGE)), consent=said)


@pytest.mark.parametrize(
    ("key", "partition"),
    [(row.key, one.name) for row in models() for one in row.partitions if one.never],
)
def test_what_must_never_be_written_is_refused_for_every_model(key, partition):
    told = refusal(key, Image(partition, b"\1"))
    assert told.reason is Reason.NEVER_WRITTEN
    assert model(key).partition(partition).never in told.message


@pytest.mark.parametrize("partition", ["firmware", "FIRMWARE ", "1", "0x08000000", ""])
def test_a_partition_that_the_board_table_does_not_know_is_refused(partition):
    told = refusal("openmv-n6", Image(partition, N6_IMAGE))
    assert told.reason is Reason.UNKNOWN_PARTITION
    assert "FIRMWARE, ROMFS0" in str(told.hint)


def test_an_empty_image_and_no_image_are_refused():
    assert refusal("openmv-n6", Image("FIRMWARE", b"")).reason is Reason.EMPTY
    assert refusal("openmv-n6").reason is Reason.EMPTY


def test_an_image_that_is_larger_than_its_partition_is_refused():
    size = model("openmv-rt1062").partition("FIRMWARE").size
    assert size
    approve(job("openmv-rt1062", Image("FIRMWARE", bytes(size))))
    told = refusal("openmv-rt1062", Image("FIRMWARE", bytes(size + 1), "big.bin"))
    assert told.reason is Reason.TOO_LARGE
    assert f"the image big.bin has {size + 1} bytes, FIRMWARE holds {size}" in told.message


def test_the_images_of_two_cores_are_flashed_together():
    told = refusal("openmv-ae3", Image("HP", b"\1"))
    assert told.reason is Reason.INCOMPLETE
    assert "HE is missing" in told.message


def test_two_images_for_one_partition_are_refused():
    images = Image("FIRMWARE", N6_IMAGE), Image("FIRMWARE", b"\1")
    assert refusal("openmv-n6", *images).reason is Reason.AMBIGUOUS


@pytest.mark.parametrize("built_for", sorted({row.target for row in models()} - {"OPENMV_N6"}))
def test_an_image_that_is_built_for_another_model_is_refused(built_for):
    told = refusal("openmv-n6", Image("FIRMWARE", b"\xff\0" + built_for.encode() + b"\0\xff"))
    assert told.reason is Reason.OTHER_MODEL
    assert built_for in told.message


def test_only_certain_evidence_refuses_an_image():
    """This model's own target beside others; none at all; a text in a ROM file system; a name that
    only begins as another model's does."""
    approve(job("openmv-n6", Image("FIRMWARE", N6_IMAGE + b"\0OPENMV4\0OPENMV4P\0")))
    approve(job("openmv-n6", Image("FIRMWARE", b"\1" * 100)))
    approve(job("openmv-n6", Image("ROMFS0", b"if board == 'OPENMV4': pass")))
    approve(job("openmv-n6", Image("FIRMWARE", b"\0OPENMV4_SENSOR\0XOPENMV4\0")))


def test_the_h7_is_told_from_the_h7_plus_whose_name_begins_alike():
    assert targets_in(b"\0OPENMV4P\0") == {"OPENMV4P"}
    assert targets_in(b"ESP32_GENERIC_S3 with ESP32S3") == {"ESP32_GENERIC_S3"}
    told = refusal("openmv-h7", Image("FIRMWARE", b"\0OPENMV4P\0"))
    assert told.reason is Reason.OTHER_MODEL


# --- versions ----------------------------------------------------------------------------------

SYS_VERSION = "3.4.0; OpenMV v5.0.0; MicroPython v1.28.0"
BUILD = "v1.28.0 on 2026-06-29"


@pytest.mark.parametrize(
    ("image", "proven"),
    [
        (b"\0OpenMV v5.0.0; MicroPython v1.28.0\0v1.28.0 on 2026-06-29\0", True),
        (b"\0OpenMV v5.0.1; MicroPython v1.28.0\0v1.28.0 on 2026-06-29\0", False),
        (b"\0OpenMV v5.0.0; MicroPython v1.28.0\0v1.28.0 on 2026-06-30\0", False),
        (b"\0MicroPython v1.27.0\0", False),
        (b"\0MicroPython 9458e3a23f\0", False),
        (b"\0v1.28.0 on 2026-06-29\0", True),
        (b"\0lwIP v2.2.0\0 is made with MicroPython\0", None),
        (bytes(1000), None),
    ],
)
def test_the_version_that_a_board_tells_must_stand_in_the_image(image, proven):
    assert runs(image, SYS_VERSION, BUILD) is proven


def test_versions_are_told_in_messages():
    assert versions_in(b"\0MicroPython v1.28.0-dirty\0") == {"MicroPython v1.28.0-dirty"}


@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_an_image_may_hold_anything(content, sys_version, build):
    assert runs(content, sys_version, build) in (True, False, None)
    assert isinstance(versions_in(content), frozenset)
    assert isinstance(targets_in(content), frozenset)


# --- the registry ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", methods())
def test_every_method_offers_what_a_method_must(name):
    how = method(name)
    assert callable(how.supports)
    assert callable(how.waiting)
    assert isinstance(how.WITHOUT_MICROPYTHON, str)
    assert callable(how.flash)


def test_an_image_does_not_show_its_content():
    image = Image("FIRMWARE", b"secret", "a.bin")
    assert "secret" not in repr(image)
    assert len(image.sha256) == 64
