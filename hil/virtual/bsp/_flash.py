"""The flash and the SD card: block devices on the image files ``flash.img`` and ``card.img``."""

import micropython

import _bsp

_BLOCK = 512
_COUNTERS = 16

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
    together.
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
        (self._write, self._write_until_cut)[self._seen[7] < 128](block, buffer)

    def _write(self, block, buffer):
        self._image.seek(block * _BLOCK)
        self._image.write(buffer)
        self._count(len(buffer) // _BLOCK)

    def _count(self, blocks):
        done = int.from_bytes(self._seen[8:], "little") + blocks
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

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return _BLOCK
        return 0
