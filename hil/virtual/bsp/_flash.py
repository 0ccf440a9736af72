"""The flash and the SD card: block devices on the image files ``flash.img`` and ``card.img``."""

import micropython

import _bsp

_BLOCK = 512
_COUNTERS = 18
_EROFS = 30

_schedule = micropython.schedule

# Two bytes, of which the first changes when a file operation begins and the second follows when it
# has ended.
_begun = _bsp.posix.open(_bsp.STATE + "/busy.bin", "r+b")
_ended = _bsp.posix.open(_bsp.STATE + "/busy.bin", "r+b")
_end = _ended.write  # as a callback: with no bytecode of its own in which Ctrl-C could hit
_seen = bytearray(2)
_OTHER = (b"\1", b"\0")


def _begin():
    token = _OTHER[_seen[0]]
    _ended.seek(1)
    _begun.seek(0)
    _begun.write(token)
    _schedule(_end, token)


def _go_on():
    pass


_ENTER = (_go_on, _begin)


def _enter():
    _begun.seek(0)
    _begun.readinto(_seen)
    _ENTER[_seen[0] == _seen[1]]()


class Flash:
    """Blocks of 512 bytes, as a camera's flash driver shows them.

    A camera sees Ctrl-C between two bytecodes, never inside a file operation. The unix port's
    signal handler jumps out of anything, so ``busy.bin`` tells the supervisor to wait: from a block
    operation until the VM runs a scheduled callback, which is after the file operation. That only
    holds while these methods contain no jump: the VM looks for callbacks at jumps.

    ``writes.bin`` holds two little-endian 64-bit numbers that the supervisor shares: block writes
    left before the power goes (negative: it stays), and block writes done. Flash and card count
    together. Two bytes follow: what is wrong with block writes (0: nothing, 2: they fail, 4: of the
    text blocks one is kept with a bit flipped), and how many of those are sound before it, or
    whether one has failed.
    """

    def __init__(self, image, size):
        self._image = _bsp.posix.open(_bsp.STATE + "/" + image, "r+b")
        self._counters = _bsp.posix.open(_bsp.STATE + "/writes.bin", "r+b")
        self._blocks = size // _BLOCK
        self._seen = bytearray(_COUNTERS)

    def readblocks(self, block, buffer):
        _enter()
        self._image.seek(block * _BLOCK)
        self._image.readinto(buffer)

    def writeblocks(self, block, buffer):
        _enter()
        self._counters.seek(0)
        self._counters.readinto(self._seen)
        return _WRITERS[(self._seen[7] < 128) + self._seen[16]](self, block, buffer)

    def _write(self, block, buffer):
        self._image.seek(block * _BLOCK)
        self._image.write(buffer)
        self._count(len(buffer) // _BLOCK)

    def _count(self, blocks):
        done = int.from_bytes(self._seen[8:16], "little") + blocks
        self._counters.seek(8)
        self._counters.write(done.to_bytes(8, "little"))

    def _write_until_cut(self, block, buffer):
        left = int.from_bytes(self._seen[:8], "little")
        view = memoryview(buffer)
        for at in range(0, len(buffer), _BLOCK):
            if left > 0:
                self._write(block, view[at : at + _BLOCK])
                self._counters.seek(0)
                self._counters.readinto(self._seen)
                left -= 1
                self._counters.seek(0)
                self._counters.write(left.to_bytes(8, "little"))
            if left <= 0:
                _bsp.end("cut")
            block += 1

    def _refuse(self, block, buffer):
        self._counters.seek(17)
        self._counters.write(b"\1")
        return -_EROFS

    def _write_and_flip(self, block, buffer):
        view = memoryview(buffer)
        for at in range(0, len(buffer), _BLOCK):
            part = view[at : at + _BLOCK]
            # No NUL in it: no directory, no allocation table.
            if self._seen[16] and min(part[:32]) >= 9:
                if self._seen[17]:
                    self._seen[17] -= 1
                else:
                    part = bytearray(part)
                    part[8] ^= 1
                    self._seen[16] = 0
                self._counters.seek(16)
                self._counters.write(self._seen[16:18])
            self._write(block, part)
            self._counters.seek(0)
            self._counters.readinto(self._seen)
            block += 1

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return _BLOCK
        return 0


# By what writes.bin says: in pairs, of which the second is for power that goes after some writes.
_WRITERS = (
    Flash._write,
    Flash._write_until_cut,
    Flash._refuse,
    Flash._refuse,
    Flash._write_and_flip,
    Flash._write_and_flip,
)
