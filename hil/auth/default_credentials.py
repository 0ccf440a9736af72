"""User names and passwords that devices are shipped with: whoever meets a device tries them first.

ETSI EN 303 645 provision 5.1-1 and ASVS 6.3.2: none of them may let anybody in.
"""

from __future__ import annotations

from collections.abc import Mapping

_PAIRS = (
    ("admin", "admin"),
    ("admin", ""),
    ("admin", "password"),
    ("admin", "1234"),
    ("admin", "12345"),
    ("admin", "123456"),
    ("root", "root"),
    ("root", "pass"),
    ("user", "user"),
    ("micro", "python"),
    ("openmv", "openmv"),
    ("guest", "guest"),
)
_PASSWORDS = (
    "owner",
    "password",
    "secret",
    "changeme",
    "admin",
    "12345678",
    "openmv",
    "micropythoN",
)


def default_pairs(user: str, published: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Users and passwords to try, each under a name that may be shown: all of them are known to
    everybody, also where one of them turns out to be the right one.

    :param user: whose name the target gives away, or the manual does
    :param published: by user, what the system's own document gives away
    """
    likely = (*_PAIRS, *((user, word) for word in _PASSWORDS))
    pairs = {f"{name}/{password}": (name, password) for name, password in likely}
    for name, password in published.items():
        if (name, password) not in pairs.values():
            pairs[f"{name}, as its document publishes it"] = name, password
    return pairs
