"""``os`` without the host's ways out, and with what cameras have in addition."""

from uos import chdir, getcwd, ilistdir, listdir, mkdir, mount, remove, rename, rmdir, sep, stat
from uos import statvfs, umount, unlink, urandom, VfsFat, VfsLfs2
from collections import namedtuple as _namedtuple

import _bsp

_FIELDS = ("sysname", "nodename", "release", "version", "machine")


def uname():
    import sys

    release = ".".join(str(part) for part in sys.implementation.version[:3])
    version = _bsp.start["version"]
    name = _bsp.board["port"]
    return _namedtuple("uname", _FIELDS)(name, name, release, version, _bsp.board["machine"])


def sync():
    pass
