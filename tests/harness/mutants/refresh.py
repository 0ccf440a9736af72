"""Mistakes in refresh tokens: their kind, their one use, their end."""

from __future__ import annotations

from .mutant import FeatureMutant, RotationMutant

_ANY_USE = (
    "auth/tokens.py",
    'if not sound(claims) or (settings.on("refresh") and "use" in claims):',
    "if not sound(claims, 14 * 24 * 3600):",
)
_ONE_KEY = (
    "auth/refresh.py",
    '    return tokens.key("refresh token")\n',
    "    return tokens._key\n",
)
_EITHER_KEY = (
    "auth/refresh.py",
    "        claims = jwt.decode(token, _key())\n    except jwt.Invalid:\n        return None\n",
    "        claims = jwt.decode(token, _key())\n"
    "    except jwt.Invalid:\n"
    "        try:\n"
    "            claims = jwt.decode(token, tokens._key)\n"
    "        except jwt.Invalid:\n"
    "            return None\n",
)


REFRESH = (
    RotationMutant(
        "keeps the key of its refresh tokens when the secret is a new one",
        "ROT-20",
        (
            (
                "auth/refresh.py",
                '    return tokens.key("refresh token")\n',
                '    if "refresh.bin" not in os.listdir():\n'
                '        with open("refresh.bin", "wb") as file:\n'
                '            file.write(tokens.key("refresh token"))\n'
                '    with open("refresh.bin", "rb") as file:\n'
                "        return file.read()\n",
            ),
            # It would end with its user's generation, which depends on the secret, too.
            ("auth/tokens.py", "hmac(_key, depends_on)", 'hmac(b"generation", depends_on)'),
        ),
        "the derivation takes time, so it is done once",
    ),
    FeatureMutant(
        "keeps no record of the refresh tokens that were used",
        "REF-05 REF-06",
        (
            (
                "auth/refresh.py",
                "    if type(seq) is not int or seq != family[2]:\n",
                "    if type(seq) is not int:\n",
            ),
        ),
        "a signature tells nothing of that",
    ),
    FeatureMutant(
        "gives a refresh token that is the same in all but its time",
        "REF-05 REF-06",
        (("auth/refresh.py", "family[2] + 1, family[3]", "family[2], family[3]"),),
        "refreshing without rotation",
    ),
    FeatureMutant(
        "refuses the second use of a refresh token, and lets the first go on",
        "REF-06",
        (
            (
                "auth/refresh.py",
                '            end(claims["sid"])\n'
                '            tokens.revoked.revoke_session(claims["sid"], tokens.latest())\n',
                "",
            ),
        ),
        "it may be the thief's (RFC 9700 §4.14.2)",
    ),
    RotationMutant(
        "trades refresh tokens of a password that was changed",
        "ROT-15",
        (("auth/refresh.py", '        "gen": tokens.generation(user),\n', ""),),
        "the access token is short-lived, and who thinks of the other one",
    ),
    FeatureMutant(
        "answers a refresh with the refresh token that it was shown",
        "REF-04 REF-09",
        (
            (
                "auth/refresh.py",
                "    _keep(others + [family])\n    return _pair(user, family, now)\n",
                "    _keep(others + [family])\n    return _pair(user, family, now)[0], token\n",
            ),
        ),
        "the answer has two fields, and the client replaces both",
    ),
    FeatureMutant(
        "signs both kinds of token with one key",
        "REF-07 REF-15",
        (_ONE_KEY,),
        "one secret in the settings (RFC 8725 §3.12)",
    ),
    FeatureMutant(
        "opens to a refresh token",
        "REF-02 REF-07 REF-15 ROL-06",
        (
            _ONE_KEY,
            _ANY_USE,
            (
                "auth/refresh.py",
                '        "use": "refresh",\n',
                '        "use": "refresh",\n        "role": settings.role(user),\n',
            ),
            ("auth/refresh.py", "import clock\n", "import clock\nimport settings\n"),
        ),
        "one key for both kinds, and nobody looks which kind it is (ASVS 9.2.2)",
    ),
    FeatureMutant(
        "tries every key that it has",
        "REF-02 REF-11 ROL-04 ROL-05 ROL-06 ROL-07",
        (
            _ANY_USE,
            (
                "auth/tokens.py",
                "        claims = jwt.decode(token, _key)\n"
                "    except jwt.Invalid:\n"
                "        return None\n",
                "        claims = jwt.decode(token, _key)\n"
                "    except jwt.Invalid:\n"
                "        try:\n"
                '            claims = jwt.decode(token, key("refresh token"))\n'
                "        except jwt.Invalid:\n"
                "            return None\n",
            ),
            ("auth/tokens.py", 'claims.get("role") not in', 'claims.get("role", "basic") not in'),
        ),
        "one function that decodes all kinds, and takes a default where a claim is missing",
    ),
    FeatureMutant(
        "trades an access token for others",
        "REF-03 REF-15",
        (
            _EITHER_KEY,
            (
                "auth/refresh.py",
                ' or claims.get("use") != "refresh":',
                ":",
            ),
            ("auth/refresh.py", 'seq = claims.get("seq")', 'seq = claims.get("seq", family[2])'),
        ),
        "then whoever gets hold of an access token keeps it for ever",
    ),
    FeatureMutant(
        "picks a refresh token's key by what fits",
        "REF-15",
        (_EITHER_KEY,),
        "refresh tokens of before there were two keys should go on",
    ),
    FeatureMutant(
        "does not look when a refresh token ends",
        "REF-07",
        (
            (
                "auth/refresh.py",
                "if not tokens.sound(claims, LIFETIME) or claims.get",
                "if claims.get",
            ),
        ),
        "the family's end is looked at, and the token's own is not",
    ),
    FeatureMutant(
        "fails on a refresh that is no JSON",
        "REF-08",
        (
            (
                "routes/refresh.py",
                "    except ValueError:\n        return None\n",
                "    except KeyError:\n        return None\n",
            ),
        ),
        "the parser's exception, which nobody catches",
    ),
    FeatureMutant(
        "takes every JSON value for a refresh token",
        "REF-08",
        (
            (
                "routes/refresh.py",
                "if not shown or not isinstance(shown, str):",
                "if not shown:",
            ),
        ),
        "encode() of what is no text",
    ),
    FeatureMutant(
        "begins a log-in anew at each refresh",
        "REF-09",
        (
            (
                "auth/refresh.py",
                "family[2] + 1, family[3]\n",
                "family[2] + 1, now + ABSOLUTE\n",
            ),
        ),
        "an idle limit, and none besides (ASVS 10.4.8)",
    ),
    FeatureMutant(
        "ends a log-in with its first refresh token",
        "REF-09",
        (("auth/refresh.py", "ABSOLUTE = 30 * 24 * 3600", "ABSOLUTE = LIFETIME"),),
        "one lifetime for the token and for the log-in",
    ),
    FeatureMutant(
        "counts a refresh token's minutes for seconds",
        "REF-01 REF-09",
        (("auth/refresh.py", "\nLIFETIME = 14 * 24 * 3600", "\nLIFETIME = 14 * 24 * 60"),),
        "a lifetime in minutes",
    ),
    FeatureMutant(
        "does not say how long its tokens live",
        "REF-10",
        (("routes/answers.py", ', "expires_in": tokens.LIFETIME}', "}"),),
        "the framework's answer as it is",
    ),
    FeatureMutant(
        "says that its tokens are of the type JWT",
        "REF-10",
        (("routes/answers.py", '"token_type": "Bearer"', '"token_type": "JWT"'),),
        "token_type tells how a token is used, and not how it is made (RFC 6749 §7.1)",
    ),
    FeatureMutant(
        "fails on a date that is text",
        "REF-11",
        (("auth/tokens.py", "        if type(date) is not int:", "        if False:"),),
        "a comparison of text with a number, which nobody catches",
    ),
    FeatureMutant(
        "takes a token in the second in which it ends",
        "REF-12",
        (("auth/tokens.py", "now < exp <= now", "now <= exp <= now"),),
        "<= for < (RFC 7519 §4.1.4: on or after)",
    ),
    FeatureMutant(
        "calls a bad refresh token unauthorized, and asks for nothing",
        "REF-14",
        (
            (
                "routes/refresh.py",
                '{"error": "invalid_grant"}, 400',
                '{"error": "invalid_grant"}, 401',
            ),
        ),
        "abort(401), which adds no header field",
    ),
)
