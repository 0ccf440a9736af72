"""A record on flash that a power cut at any block write leaves whole: the old one or the new one.

Two files hold the same record. They are written one after the other, so at any moment one of them
is complete; a number says which is newer, and a SHA-256 over all of it which is complete. That both
are the same in the end is for flash that loses more than was being written: a block of the directory
that is cut in two may take one of the files with it, whatever file was written there.

Both files keep their length, so no cluster is allocated or freed after the first time. FAT's rename
would be no help: it is two steps, and a cut between them leaves two names for one content.
"""

import os
from hashlib import sha256

SIZE = 2008  # bytes of a record; with number and hash four blocks of 512
_NUMBER = 8
_ENOENT = 2


class Slots:
    """``NAME.a`` and ``NAME.b`` in the working directory. ``load`` comes first."""

    def __init__(self, name):
        self._files = (name + ".a", name + ".b")

    def load(self):
        """The record, ``SIZE`` bytes; None where there is none that is complete. ``OSError`` when
        a file cannot be read."""
        self._newest, self._number = 1, 0  # so that the first one goes to NAME.a
        found = None
        for i in range(2):
            image = _read(self._files[i])
            number = int.from_bytes(image[:_NUMBER], "big")
            if _complete(image) and (found is None or number > self._number):
                self._newest, self._number = i, number
                found = image[_NUMBER : _NUMBER + SIZE]
        return found

    def store(self, record):
        """Returns when the record is on the flash twice, and read back. ``OSError`` otherwise: then
        it is open which one counts after a reboot, the one of before or this one."""
        self._number += 1
        body = self._number.to_bytes(_NUMBER, "big") + record + bytes(SIZE - len(record))
        image = body + sha256(body).digest()
        for _ in range(2):
            _write(self._files[1 - self._newest], image)  # never over the newest one
            self._newest = 1 - self._newest


def _write(name, image):
    same_size = len(_read(name)) == len(image)
    with open(name, "r+b" if same_size else "wb") as file:
        file.write(image)
        file.flush()
        if hasattr(os, "sync"):  # the boards have it, the unix port has not
            os.sync()
    if _read(name) != image:
        raise OSError("read back differently")


def _read(name):
    try:
        with open(name, "rb") as file:
            return file.read(_NUMBER + SIZE + 33)
    except OSError as error:
        if error.errno != _ENOENT:
            raise
        return b""


def _complete(image):
    return len(image) == _NUMBER + SIZE + 32 and sha256(image[:-32]).digest() == image[-32:]
