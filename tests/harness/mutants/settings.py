"""Mistakes with what is stored: settings.json, the password, what stands in for them."""

from __future__ import annotations

from .mutant import Mutant

SETTINGS = (
    Mutant(
        "remembers the last good password for ever",
        "BAS-19",
        (("auth/passwords.py", "hmac(_ram_key, expected + owner", "hmac(_ram_key, owner"),),
        "a cache without the password's hash in its key",
    ),
    Mutant(
        "is open where no password is stored",
        "LOG-11 LOG-12",
        (
            (
                "auth/passwords.py",
                "    salt, iterations, expected = stored or _DUMMY\n",
                "    salt, iterations, expected = stored or _DUMMY\n"
                '    if stored is None and password == "":\n        return True\n',
            ),
        ),
        "an empty file read as the empty password",
    ),
    Mutant(
        "fails without its settings",
        "LEAK-02 LOG-12",
        (
            (
                "settings.py",
                '    except OSError:\n        raw = b""\n',
                '    except KeyError:\n        raw = b""\n',
            ),
        ),
        "a file that was always there",
    ),
    Mutant(
        "has a default password",
        "LOG-37",
        (
            (
                "auth/passwords.py",
                "    name, secret = user.encode(), password.encode()\n",
                "    name, secret = user.encode(), password.encode()\n"
                '    if (user, password) == ("admin", "admin"):\n        return True\n',
            ),
        ),
        "a way in for the production line (CWE-798)",
    ),
    Mutant(
        "fails on a long password",
        "LEAK-02 LOG-28",
        (
            (
                "auth/passwords.py",
                "    derived = await pbkdf2(secret[:_LONGEST], salt, iterations)\n",
                "    block = bytearray(_LONGEST)\n    for i in range(len(secret)):\n        "
                "block[i] = secret[i]\n"
                "    derived = await pbkdf2(secret[:_LONGEST], salt, iterations)\n",
            ),
        ),
        "a buffer with a limit, and no look at it",
    ),
    Mutant(
        "takes the user's name for a password",
        "LOG-06 LOG-37",
        (
            (
                "auth/passwords.py",
                "    name, secret = user.encode(), password.encode()\n",
                "    name, secret = user.encode(), password.encode()\n"
                '    if user == password == settings.get("user"):\n'
                "        return True\n",
            ),
        ),
        "the password that a reset gives (CWE-1392)",
    ),
    Mutant(
        "takes the owner for whom nobody names",
        "LOG-09",
        (
            (
                "app.py",
                'body.get("user"), body.get("pass")',
                'body.get("user", "owner"), body.get("pass")',
            ),
        ),
        "a default for a field that is missing",
    ),
    Mutant(
        "answers sooner for an unknown user",
        "BAS-17 LOG-08",
        (
            (
                "auth/passwords.py",
                "    derived = await pbkdf2(",
                "    if sha256(name).digest() != owner:\n"
                "        return False\n"
                "    derived = await pbkdf2(",
            ),
        ),
        "no such user, no hash (ASVS 6.3.8)",
    ),
    Mutant(
        "does not join surrogates",
        "LOG-25",
        (
            (
                "web/strictjson.py",
                "                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)\n",
                "                code = 0xFFFD\n",
            ),
        ),
        "MicroPython's json does not, either",
    ),
    Mutant(
        "reads 72 bytes of a password",
        "LOG-25",
        (
            (
                "auth/passwords.py",
                "user.encode(), password.encode()\n",
                "user.encode(), password.encode()[:72]\n",
            ),
        ),
        "as bcrypt does",
    ),
)
