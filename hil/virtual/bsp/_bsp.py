"""Start a virtual board: replace what the unix port has otherwise, mount the flash, run the boot
scripts in a camera's order.

Runs in MicroPython, before anything of the user's. Argument: the state directory; file
descriptor 3 is the supervisor's control pipe.
"""

import gc
import json
import sys

import vfs

posix = vfs.VfsPosix()  # the host's files, kept when "/" is unmounted
STATE = sys.argv[1]
_OURS = ('  File "_boot.py"', '  File "_bsp.py"')
_pipe = posix.open(3, "wb")


def load(name):
    with posix.open(STATE + "/" + name, "r") as file:
        return json.load(file)


def save(name, value):
    # Written beside and renamed: a kill at any moment leaves the old or the new one.
    temporary = STATE + "/" + name + ".new"
    with posix.open(temporary, "w") as file:
        json.dump(value, file)
    posix.rename(temporary, STATE + "/" + name)


def tell(message):
    """One line for the supervisor."""
    _pipe.write(message + "\n")


def end(message):
    """Tell the supervisor, which then kills this process: nothing in the program can prevent it."""
    import utime

    micropython.kbd_intr(-1)
    tell(message)
    while True:
        utime.sleep(60)


board = load("board.json")
start = load("start.json")  # of this start only: reset cause, hard or soft

import micropython

import _clock
import _flash

# Found in this directory, before the built-in ones of the same name.
import machine
import network
import ntptime
import os
import socket
import time
import _sys

_REPLACED = {
    "machine": machine,
    "os": os,
    "socket": socket,
    "sys": _sys,
    "time": time,
}


def _mount():
    # As in a camera's _boot.py: a file system that cannot be mounted is made anew.
    vfs.umount("/")
    flash = _flash.Flash("flash.img", board["flash_bytes"])
    try:
        vfs.mount(flash, board["root"])
    except OSError:
        vfs.VfsFat.mkfs(flash)
        vfs.mount(flash, board["root"])
    roots = [board["root"]]
    os.chdir(board["root"])
    if start["card"] and not _exists(board["skip_card_file"]) and _mount_card():
        roots.append(board["card_root"])
        # From here boot.py and main.py are looked up: those on the flash are ignored.
        os.chdir(board["card_root"])
    if start["rom"]:
        with posix.open(STATE + "/rom.img", "rb") as image:
            vfs.mount(vfs.VfsRom(image.read()), "/rom")
        roots.append("/rom")
    sys.path[:] = ["", ".frozen"] + [root + sub for root in roots for sub in ("", "/lib")]


def _mount_card():
    card = _flash.Flash("card.img", board["card_bytes"])
    first = bytearray(512)
    card.readblocks(0, first)
    if not any(first):
        vfs.VfsFat.mkfs(card)  # a card is sold formatted: here it is made
    try:
        vfs.mount(card, board["card_root"])
    except OSError:
        return False
    return True


def _exists(path):
    try:
        return bool(path and os.stat(path))
    except OSError:
        return False


def _run(name, names):
    """Run a boot script if there is one. True unless it raised."""
    if not _exists(name):
        return True
    try:
        micropython.kbd_intr(3)
        tell("run")
        execfile(name, names)
        tell("done")
        micropython.kbd_intr(-1)
        return True
    except SystemExit:
        end("soft")
    except BaseException as error:
        tell("done")
        micropython.kbd_intr(-1)
        if isinstance(error, KeyboardInterrupt):
            # The unix port interrupts at once, perhaps in the middle of a collection, which then
            # leaves the heap locked; another collection unlocks it.
            gc.collect()
        _print_exception(error)
        return False


def _print_exception(error):
    import io

    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().split("\n")[:-1]:
        if not line.startswith(_OURS):
            print(line)


def boot(names):
    for name in ("_bsp", "_clock", "_flash", "_sys"):
        sys.modules.pop(name, None)
    for name, module in _REPLACED.items():
        sys.modules[name] = module
        sys.modules["u" + name] = module
    sys.argv[:] = []
    names.pop("__file__", None)
    _mount()
    gc.collect()
    tell("up")
    try:
        if _run("boot.py", names) and start["hard"]:
            _run("main.py", names)
    except KeyboardInterrupt as error:  # just after a script, before the interrupt was off
        micropython.kbd_intr(-1)
        _print_exception(error)
    names.pop("__file__", None)
    # In the stream itself, so that the supervisor knows which bytes come after the scripts'.
    sys.stdout.write("\x1b]hil;repl\x07")
