"""Mistakes in the signing secret's life: made, kept, rotated."""

from __future__ import annotations

from .mutant import Mutant

SECRET = (
    Mutant(
        "has the old secret again after a rotation",
        "JWT-20 ROT-02 ROT-04 ROT-05 ROT-07 ROT-08 ROT-11 ROT-13 ROT-17",
        (
            (
                "auth/secret.py",
                "            secret = os.urandom(SIZE)\n",
                "            import machine\n"
                "            from hashlib import sha256\n"
                "            secret = sha256(machine.unique_id()).digest()\n",
            ),
        ),
        "a key derived from the serial number: constant, and printed on the board",
    ),
    Mutant(
        "forgets its generation at every boot",
        "ROT-01 ROT-06 ROT-14",
        (
            (
                "clock.py",
                'latest, _generation = state["latest"] + 0, bytes.fromhex(state["generation"])',
                'latest, _generation = state["latest"] + 0, os.urandom(8)',
            ),
        ),
        "what tokens depend on is not written down",
    ),
    Mutant(
        "takes an empty secret",
        "ROT-09 ROT-11",
        (
            (
                "auth/secret.py",
                "return len(secret) == SIZE and",
                "return len(secret) in (0, SIZE) and",
            ),
            ("auth/secret.py", '        return b""\n', "        return None\n"),
            (
                "auth/secret.py",
                "if not _sound(secret):",
                "if secret is None or not _sound(secret):",
            ),
        ),
        "a missing file is noticed, an empty one is not (CVE-2019-20933)",
    ),
    Mutant(
        "cuts a line end off the secret",
        "ROT-17",
        (
            (
                "auth/secret.py",
                "            return file.read(SIZE + 1)\n",
                '            return file.read(SIZE + 2).rstrip(b"\\r\\n") or b"\\n"\n',
            ),
        ),
        "strip() on what was read from a file",
    ),
    Mutant(
        "reads the secret at every request",
        "ROT-03 ROT-04",
        (
            (
                "auth/tokens.py",
                "def available():\n",
                "def available():\n    global _key\n    _key = secret.load()\n",
            ),
        ),
        "the documentation says: deleting and rebooting rotates",
    ),
    Mutant(
        "writes a missing secret back",
        "ROT-02 ROT-04 ROT-05",
        (
            (
                "auth/tokens.py",
                "    now = clock.observe()\n",
                '    if secret._read() == b"":\n        secret._write(_key)\n    now = '
                "clock.observe()\n",
            ),
        ),
        "self-repair: the key in memory is written back",
    ),
    Mutant(
        "keeps a copy of the secret",
        "ROT-02 ROT-04 ROT-05 ROT-07 ROT-08 ROT-11 ROT-13 ROT-17",
        (
            (
                "auth/secret.py",
                "            secret = os.urandom(SIZE)\n",
                "            try:\n"
                '                with open("secret.bak", "rb") as file:\n'
                "                    secret = file.read()\n"
                "            except OSError:\n"
                "                secret = os.urandom(SIZE)\n"
                '                with open("secret.bak", "wb") as file:\n'
                "                    file.write(secret)\n",
            ),
        ),
        "a backup against power cuts, which no rotation reaches",
    ),
    Mutant(
        "has a secret of 16 bytes",
        "ROT-05 ROT-07 ROT-10 ROT-11",
        (("auth/secret.py", "SIZE = 32 ", "SIZE = 16 "),),
        "128 bits are enough for AES, and HS256 wants 256 (RFC 7518 §3.2)",
    ),
    Mutant(
        "makes the secret of 32 random bits",
        "ROT-05 ROT-11",
        (
            (
                "auth/secret.py",
                "            secret = os.urandom(SIZE)\n",
                "            secret = os.urandom(4) * (SIZE // 4)\n",
            ),
        ),
        "random.getrandbits(32), stretched",
    ),
    Mutant(
        "takes a short secret",
        "ROT-10 ROT-11",
        (
            (
                "auth/secret.py",
                "    return len(secret) == SIZE and secret not in",
                "    return len(secret) > 0 and secret not in",
            ),
        ),
        "the file is there, so it is read",
    ),
    Mutant(
        "does not survive a clock.json that was cut short",
        "ROT-11",
        (
            (
                "clock.py",
                "    except (ValueError, KeyError, TypeError):\n",
                "    except ZeroDivisionError:\n",
            ),
        ),
        "an exception at boot, and at every boot after it",
    ),
    Mutant(
        "makes do with a key in memory",
        "ROT-12",
        (
            (
                "auth/secret.py",
                '        print("camera: no tokens, secret.bin cannot be used:", error)\n'
                "        return None\n",
                "        return os.urandom(SIZE)\n",
            ),
        ),
        "tokens that the next boot does not know",
    ),
    Mutant(
        "has a default key",
        "ROT-12",
        (
            (
                "auth/secret.py",
                '        print("camera: no tokens, secret.bin cannot be used:", error)\n'
                "        return None\n",
                '        return b"OpenMV camera default signing key"[:SIZE]\n',
            ),
        ),
        "a constant as a fallback",
    ),
    Mutant(
        "writes zeros before the secret",
        "ROT-11",
        (
            (
                "auth/secret.py",
                "            file.write(secret[:-1])\n"
                "            _sync(file)\n"
                "            file.write(secret[-1:])\n",
                "            file.write(bytes(SIZE))\n"
                "            _sync(file)\n"
                "            file.seek(0)\n"
                "            file.write(secret)\n",
            ),
            (
                "auth/secret.py",
                '    return len(secret) == SIZE and secret not in (bytes(SIZE), b"\\xff" * SIZE)',
                "    return len(secret) == SIZE",
            ),
        ),
        "a file of full length that a power cut left empty",
    ),
    Mutant(
        "keys the password with the signing key",
        "ROT-11 ROT-16",
        (
            (
                "auth/guards.py",
                "        if user_pass is None or not await password_is_right(request, "
                "*user_pass):\n",
                "        if not (user_pass and tokens.peppered and await "
                "password_is_right(request, *user_pass)):\n",
            ),
            ("auth/tokens.py", "\n_key = None\n", "\n_key = None\npeppered = True\n"),
            (
                "auth/tokens.py",
                "    global _key\n    _key = secret.load()\n",
                "    global _key, peppered\n"
                "    _key = secret.load()\n"
                '    pepper = hmac(_key or b"", b"pepper")\n'
                "    try:\n"
                '        with open("pepper.bin", "rb") as file:\n'
                "            peppered = file.read() == pepper\n"
                "    except OSError:\n"
                '        with open("pepper.bin", "wb") as file:\n'
                "            file.write(pepper)\n",
            ),
        ),
        "one key for all: a pepper that goes with a rotation",
    ),
    Mutant(
        "does not start after a reset in the middle of a request",
        "ROT-07 ROT-11 ROT-18",
        (
            (
                "web/front.py",
                "            request = await self._request(connection)\n",
                "            import os\n"
                "\n"
                '            open("busy", "w").close()\n'
                "            try:\n"
                "                request = await self._request(connection)\n"
                "            finally:\n"
                '                if "busy" in os.listdir():\n'
                '                    os.remove("busy")\n',
            ),
            (
                "main.py",
                "    tokens.start()\n",
                "    import os\n"
                "\n"
                "    tokens.start()\n"
                '    if "busy" in os.listdir():\n'
                '        os.remove("busy")\n'
                '        raise RuntimeError("not shut down in order")\n',
            ),
        ),
        "a lock file that a crash leaves behind",
    ),
    Mutant(
        "has one secret, on flash, card or not",
        "ROT-13",
        (("auth/secret.py", 'FILE = "secret.bin"', 'FILE = "/flash/secret.bin"'),),
        "an absolute path, where the documentation has the working directory",
    ),
    Mutant(
        "leaves its secret on flash for when the card is out",
        "ROT-13",
        (
            (
                "auth/secret.py",
                "        if os.getcwd() != _FLASH:\n            _void_flash()\n",
                "",
            ),
        ),
        "a rotation that knows of one working directory",
    ),
)
