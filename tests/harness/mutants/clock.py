"""Mistakes with the clock: its epoch, its being unset, its going back."""

from __future__ import annotations

from .mutant import Mutant

CLOCK = (
    Mutant(
        "counts exp from 2000",
        "EXP-01 EXP-02 EXP-03 EXP-08 EXP-11 EXP-12 EXP-13 EXP-14 EXP-17 EXP-18 EXP-19 LOG-04",
        (
            (
                "auth/tokens.py",
                "    now = clock.observe()\n",
                "    now = clock.observe() - clock.EPOCH\n",
            ),
            (
                "auth/tokens.py",
                "_timely(claims, clock.observe(), lifetime)",
                "_timely(claims, clock.observe() - clock.EPOCH, lifetime)",
            ),
        ),
        "int(time.time()) on a port that counts from 2000 (stm32, esp32)",
    ),
    Mutant(
        "issues tokens before its clock is set",
        "EXP-15",
        (
            (
                "auth/tokens.py",
                "return _key is not None and clock.is_set()",
                "return _key is not None",
            ),
        ),
        "nobody looks whether the clock was ever set",
    ),
    Mutant(
        "believes an unset clock",
        "EXP-09 EXP-14 EXP-15",
        (
            (
                "auth/tokens.py",
                "return _key is not None and clock.is_set()",
                "return _key is not None",
            ),
            ("auth/tokens.py", "now < exp <= now + lifetime + SLACK and", "now < exp and"),
        ),
        "against a clock in 2015 every token of today lies in the future",
    ),
    Mutant(
        "does not notice that its clock went back",
        "EXP-13 EXP-18",
        (("clock.py", "if now < _latest - _TOLERANCE:", "if False:"),),
        "exp is compared with whatever the clock says just now (ASVS 9.2.1)",
    ),
    Mutant(
        "notices only a clock that went back by a day",
        "EXP-13 EXP-18",
        (("clock.py", "_TOLERANCE = 60 ", "_TOLERANCE = 86400 "),),
        "a tolerance longer than a token's life",
    ),
    Mutant(
        "ends in 2038",
        "EXP-19",
        (
            (
                "clock.py",
                "    return int(time.time()) + EPOCH\n",
                "    return (int(time.time()) + EPOCH) & 0x7FFFFFFF\n",
            ),
        ),
        "a 31-bit integer, as MicroPython's small int on 32 bits",
    ),
    Mutant(
        "remembers the latest time until the next boot",
        "EXP-18",
        (("auth/tokens.py", "    clock.token_issued()\n", ""),),
        "a mark in memory, to spare the flash",
    ),
)
