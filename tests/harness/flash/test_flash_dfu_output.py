"""What dfu-util prints, and what is concluded from it. The transcripts are dfu-util 0.11's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.flash.dfu_output import complaint, downloaded, parse_listing
from hil.flash.method import last_lines
from hil.flash.tool import Ran

LISTING = """\
dfu-util 0.11

Copyright 2005-2009 Weston Schmidt, Harald Welte and OpenMoko Inc.
Please report bugs to http://sourceforge.net/p/dfu-util/tickets/

dfu-util: Failed to retrieve language identifiers
Found DFU: [37c5:9206] ver=0200, devnum=2, cfg=1, intf=0, path="1-2", alt=1, name="FIRMWARE", \
serial="ABCD01"
Found DFU: [37c5:9206] ver=0200, devnum=2, cfg=1, intf=0, path="1-2", alt=0, name="BOOTLOADER", \
serial="ABCD01"
Found DFU: [2341:035b] ver=0200, devnum=3, cfg=1, intf=0, path="1-3.1", alt=0, name="UNKNOWN", \
serial="UNKNOWN"
"""
BEGINNING = """\
Claiming USB DFU Interface...
Determining device status...
DFU state(10) = dfuERROR, status(10) = Device's firmware is corrupt
Clearing status
DFU state(2) = dfuIDLE, status(0) = No error condition is present
Device returned transfer size 2048
"""
PLAIN = (
    BEGINNING
    + """\
Copying data from PC to DFU device
\rDownload\t[                         ]   0%            0 bytes\
\rDownload\t[============             ]  50%         2048 bytes\
\rDownload\t[=========================] 100%         4096 bytes
Download done.
DFU state(2) = dfuIDLE, status(0) = No error condition is present
Done!
"""
)
DFUSE = (
    BEGINNING
    + """\
DfuSe interface name: "Internal Flash  "
Downloading element to address = 0x08040000, size = 4096
\rErase   \t[=========================] 100%         4096 bytes
Erase    done.
\rDownload\t[=========================] 100%         4096 bytes
Download done.
File downloaded successfully
Submitting leave request...
Transitioning to dfuMANIFEST state
"""
)


def test_a_listing_is_read():
    camera, arduino = parse_listing(LISTING)
    assert (camera.vid, camera.pid, camera.path) == (0x37C5, 0x9206, "1-2")
    assert camera.serial_number == "ABCD01"
    assert camera.alts == {0: "BOOTLOADER", 1: "FIRMWARE"}
    assert camera.readable
    assert not arduino.readable


@pytest.mark.parametrize("said", [PLAIN, DFUSE])
def test_a_download_that_is_proven_has_no_complaint(said):
    assert complaint(Ran(0, said), 4096) == ""


def test_a_status_that_says_failure_after_a_proven_download_is_no_complaint():
    """The board was gone before the USB reset that --reset asks for: LIBUSB_ERROR_NOT_FOUND."""
    assert (
        complaint(Ran(251, PLAIN + "Resetting USB to switch back to Run-Time mode\n"), 4096) == ""
    )


@pytest.mark.parametrize("said", [PLAIN, DFUSE])
def test_no_output_that_was_cut_short_proves_a_download(said):
    needed = len(said) - len("!\n") if said is PLAIN else said.index("fully\n") + len("fully")
    for end in range(needed):
        assert complaint(Ran(0, said[:end]), 4096), said[:end]


def test_fewer_bytes_than_the_image_has_are_no_proof():
    assert complaint(Ran(0, PLAIN), 4097) == "it says that it is done after 4096 of 4097 bytes"


def test_an_error_state_at_the_end_counts_whatever_the_status_is():
    bad = PLAIN.replace(
        "DFU state(2) = dfuIDLE, status(0) = No error condition is present\nDone!",
        "DFU state(10) = dfuERROR, status(0) = No error condition is present\nDone!",
    )
    assert "ended in dfuERROR" in complaint(Ran(0, bad), 4096)


def test_what_ran_out_of_time_is_a_complaint_however_far_it_came():
    assert "not through in time" in complaint(Ran(None, PLAIN), 4096)


@given(st.text())
def test_anything_may_be_printed(said):
    assert complaint(Ran(0, said), 1)
    assert downloaded(said) >= 0
    assert isinstance(parse_listing(said), list)
    assert len(last_lines(said).splitlines()) <= 6


_NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)


@given(st.dictionaries(st.integers(0, 15), _NAMES, min_size=1), _NAMES)
def test_whatever_a_device_calls_itself_is_read_as_it_is(alts, serial):
    said = "".join(
        f'Found DFU: [37c5:9206] ver=0200, devnum=2, cfg=1, intf=0, path="1-2", alt={number},'
        f' name="{name}", serial="{serial}"\n'
        for number, name in alts.items()
    )
    if any('serial="' in name for name in (*alts.values(), serial)):
        return  # no way to tell where such a name ends
    (found,) = parse_listing(said)
    assert found.alts == {n: None if name == "UNKNOWN" else name for n, name in alts.items()}
    assert found.serial_number == (None if serial == "UNKNOWN" else serial)


def test_last_lines_of_a_redrawn_progress_bar():
    said = "one\n\n\x1b[2mtwo\n" + "".join(f"\r{at} %" for at in range(100)) + "\nend\n"
    assert last_lines(said) == "one\n[2mtwo\n99 %\nend"
