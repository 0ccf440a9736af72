"""The signing secret: 32 random bytes in ``secret.bin``, in the working directory (/sdcard with a
card, else /flash). Deleting the file and rebooting rotates it: every token of before is void.

**One secret at a time.** A boot from a card removes the secret that /flash may have: else a rotation
on the card would end with the card, and what was signed before it would be good again.

**Power may go at any moment.** Nothing of value is overwritten here, since a file is only written
where there is no valid one; so no second file and no rename are needed, which FAT could not do in
one step anyway (a cut inside its rename leaves two names for one cluster chain). What must hold is
that a file that *looks* complete *is* complete: its length reaches 32 only after 31 bytes of it are
on the flash. A cut before that leaves a short file, and the next boot makes another; a cut after it
leaves at least 248 random bits. No token is signed before the file has been read back.
"""

import os

FILE = "secret.bin"
SIZE = 32  # bytes: RFC 7518 §3.2 asks for at least the hash's 256 bits
_FLASH = "/flash"
_ENOENT, _ENODEV = 2, 19  # ENODEV: nothing is mounted there


def load():
    """The secret of this boot, made if there is none; None when it cannot be kept.

    A file of any other length is not ours, or cut short: HMAC would take ``secret + b"\\0"`` for
    the same key, and an empty one for a key that everybody knows (CVE-2019-20933). It is replaced.
    A file that cannot be read or written (a full or broken flash, a directory of that name) is left
    alone, and there are no tokens until the next boot: better none than a key that is lost again.
    """
    try:
        if os.getcwd() != _FLASH:
            _void_flash()
        secret = _read()
        if not _sound(secret):
            secret = os.urandom(SIZE)
            _write(secret)
            if _read() != secret:
                raise OSError("read back differently")
    except OSError as error:
        print("camera: no tokens, secret.bin cannot be used:", error)
        return None
    return secret


def _sound(secret):
    # All zeros or all ones is what a cluster looks like that was never written.
    return len(secret) == SIZE and secret not in (bytes(SIZE), b"\xff" * SIZE)


def _read():
    try:
        with open(FILE, "rb") as file:
            return file.read(SIZE + 1)
    except OSError as error:
        if error.errno != _ENOENT:
            raise
        return b""


def _void_flash():
    try:
        os.remove(_FLASH + "/" + FILE)
        _sync()
        print("camera: the secret on /flash is void: this boot is from a card")
    except OSError as error:
        if error.errno not in (_ENOENT, _ENODEV):
            raise


def _write(secret):
    try:
        with open(FILE, "wb") as file:
            file.write(secret[:-1])
            _sync(file)
            file.write(secret[-1:])
            _sync(file)
    except OSError:
        _write_nothing()
        raise


def _sync(file=None):
    if file:
        file.flush()
    if hasattr(os, "sync"):  # the boards have it, the unix port has not
        os.sync()


def _write_nothing():
    """Leaves no stump behind: a full flash must not look like a rotation."""
    try:
        os.remove(FILE)
    except OSError:
        print("camera: secret.bin cannot be removed either")
