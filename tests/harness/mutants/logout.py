"""Mistakes in a logout: what it ends, what it keeps, and how long it is kept."""

from __future__ import annotations

from .mutant import FeatureMutant

LOGOUT = (
    FeatureMutant(
        "looks for the token in what the token says",
        "REV-01 REV-02 REV-03 REV-04 REV-06 REV-07 REV-08",
        (
            (
                "routes/logout.py",
                "        sid = claims.get",
                '        token = claims["token"]\n        sid = claims.get',
            ),
        ),
        "payload['token'], as in the tutorial's code",
    ),
    FeatureMutant(
        "leaves it to the client to forget its token",
        "REV-02 REV-04 REV-06",
        (
            (
                "routes/logout.py",
                "        claims = tokens.read(token)\n",
                '        claims = tokens.read(token)\n        return "", 204\n',
            ),
        ),
        "a token needs no server to be valid",
    ),
    FeatureMutant(
        "ends a log-in's refresh tokens, and not its access tokens",
        "REV-02 REV-04 REV-06",
        (
            (
                "routes/logout.py",
                "                tokens.revoked.revoke_session(sid, tokens.latest())\n",
                "",
            ),
        ),
        "the access token will soon end by itself",
    ),
    FeatureMutant(
        "keeps the text of the tokens that were logged out",
        "REV-03",
        (
            (
                "auth/base64.py",
                "    if url_encode(data) != text:\n"
                '        raise ValueError("not canonical base64url")\n',
                "",
            ),
            (
                "auth/revoked.py",
                '    jti = claims.get("jti")\n',
                '    return _hash("jwt", token)\n    jti = claims.get("jti")\n',
            ),
            (
                "routes/logout.py",
                "tokens.revoked.revoke_session(sid, tokens.latest())",
                "tokens.revoked.revoke(claims, token)",
            ),
        ),
        "and a decoder that takes one token in several spellings (GHSA-hxm8-2xgr-2p9m)",
    ),
    FeatureMutant(
        "keeps in memory who has logged out",
        "REV-04",
        (
            (
                "auth/revoked.py",
                "    _store(floor, entries)\n    _floor, _entries",
                "    _floor, _entries",
            ),
        ),
        "a set in a module",
    ),
    FeatureMutant(
        "says that a logout is kept, and keeps it afterwards",
        "REV-04",
        (
            ("auth/revoked.py", "import os\n", "import asyncio\nimport os\n"),
            (
                "auth/revoked.py",
                "    _store(floor, entries)\n    _floor, _entries = floor, entries\n",
                "    _floor, _entries = floor, entries\n"
                "    asyncio.create_task(_later(floor, entries))\n\n\n"
                "async def _later(floor, entries):\n"
                "    await asyncio.sleep_ms(200)\n"
                "    _store(floor, entries)\n",
            ),
        ),
        "flash is slow, so the client should not wait (Redis: BGSAVE)",
    ),
    FeatureMutant(
        "has its list of logouts in one file",
        "REV-04",
        (("auth/slots.py", '(name + ".a", name + ".b")', '(name + ".a", name + ".a")'),),
        "a power cut leaves neither the old list nor the new one",
    ),
    FeatureMutant(
        "does one logout at a time",
        "REV-06",
        (
            ("routes/logout.py", "import settings\n", "import asyncio\n\nimport settings\n"),
            ("routes/logout.py", "def add(app):\n", "saving = []\n\n\ndef add(app):\n"),
            (
                "routes/logout.py",
                "        token = credentials(request)[1]\n",
                "        if saving:\n"
                "            return not_kept()\n"
                "        saving.append(request)\n"
                "        await asyncio.sleep_ms(50)\n"
                "        saving.pop()\n"
                "        token = credentials(request)[1]\n",
            ),
        ),
        "Redis's BGSAVE fails while another one is running",
    ),
    FeatureMutant(
        "logs its user out everywhere",
        "REV-04 REV-06 REV-07 REV-08",
        (
            (
                "routes/logout.py",
                "                refresh.end(sid)\n",
                "                for family in list(refresh._families):\n"
                "                    other = refresh.url_encode(family[0]).decode()\n"
                "                    refresh.end(other)\n"
                "                    tokens.revoked.revoke_session(other, tokens.latest())\n",
            ),
        ),
        "what is kept is the user and not the log-in",
    ),
)
