"""Mistakes in the token code: the signature, the header, the claims."""

from __future__ import annotations

from .mutant import Mutant

TOKEN = (
    Mutant(
        "accepts alg none",
        "JWT-06",
        (
            ("auth/jwt.py", '.get("alg") != "HS256"', '.get("alg") not in ("HS256", "none")'),
            ("auth/jwt.py", "if not equal(", 'if header["alg"] != "none" and not equal('),
        ),
        "the algorithm is the token's to choose (CVE-2015-2951)",
    ),
    Mutant(
        "does not look at the signature",
        "BRR-04 BRR-20 BRR-28 EXP-20 JWT-01 JWT-02 JWT-03 JWT-04 JWT-15 JWT-16 JWT-17 JWT-18 "
        "JWT-19 JWT-27 JWT-42 ROT-09 ROT-10 ROT-11",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "if len(url_decode(segments[2])) > 32:",
            ),
        ),
        "decode() for verify(), as in a client's library",
    ),
    Mutant(
        "compares as much of the signature as there is",
        "JWT-02 JWT-03 JWT-04",
        (
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                "    mac = url_decode(segments[2])\n"
                "    if not equal(hmac(key, signed)[: len(mac)], mac[:32]):\n",
            ),
        ),
        "a loop over the shorter of two texts (wycheproof tc2, tc3)",
    ),
    Mutant(
        "is over after exp, and not at exp",
        "EXP-02",
        (("auth/tokens.py", "return now < exp <=", "return now <= exp <="),),
        "RFC 7519 §4.1.4 says: on or after",
    ),
    Mutant(
        "lets a token live five minutes longer",
        "EXP-02 EXP-03 EXP-13 EXP-14 EXP-17",
        (("auth/tokens.py", "return now < exp <=", "return now - 300 < exp <="),),
        "a leeway that nobody asked for",
    ),
    Mutant(
        "lets a token end a minute early",
        "EXP-01 EXP-02",
        (("auth/tokens.py", "return now < exp <=", "return now + 60 < exp <="),),
        "a leeway with the wrong sign",
    ),
    Mutant(
        "ignores exp",
        "EXP-02 EXP-03 EXP-05 EXP-08 EXP-09 EXP-13 EXP-14 EXP-16 EXP-17 EXP-18 EXP-20",
        (("auth/tokens.py", "return now < exp <= now + lifetime + SLACK and", "return"),),
        "micropython-lib's jwt leaves exp to the caller where there is none",
    ),
    Mutant(
        "lets a token without exp live for ever",
        "EXP-06",
        (
            (
                "auth/tokens.py",
                'exp, nbf, iat = claims.get("exp"), ',
                'exp, nbf, iat = claims.get("exp", now + 1), ',
            ),
        ),
        "if 'exp' in claims and …: the default of most JWT libraries",
    ),
    Mutant(
        "takes an exp of 0 for none",
        "EXP-05 EXP-06 EXP-07",
        (
            (
                "auth/tokens.py",
                "        if type(date) is not int:",
                "        if exp and type(date) is not int:",
            ),
            ("auth/tokens.py", "return now < exp <=", "return not exp or now < exp <="),
        ),
        "if exp and …, for which 0 and false are no exp",
    ),
    Mutant(
        "reads an exp that is a text",
        "EXP-07",
        (
            (
                "auth/tokens.py",
                "    for date in (exp, nbf, iat):\n",
                "    if isinstance(exp, str) and exp.isdigit():\n        exp = int(exp)\n"
                "    for date in (exp, nbf, iat):\n",
            ),
        ),
        "int(claims['exp']) is kind to its caller",
    ),
    Mutant(
        "knows no exp with a fraction",
        "EXP-08",
        (
            (
                "auth/jwt.py",
                "claims = strictjson.parse(url_decode(segments[1]), _DEPTH, whole)",
                "claims = strictjson.parse(url_decode(segments[1]), _DEPTH)",
            ),
        ),
        "a NumericDate is a number, not an integer (RFC 7519 §2)",
    ),
    Mutant(
        "sets no limit to a lifetime",
        "EXP-09",
        (("auth/tokens.py", "now < exp <= now + lifetime + SLACK and", "now < exp and"),),
        "exp is in the future, so all is well",
    ),
    Mutant(
        "takes NaN for a date",
        "EXP-09 EXP-10",
        (
            (
                "web/strictjson.py",
                '(b"null", None))',
                '(b"null", None), (b"NaN", float("nan")))',
            ),
            ("auth/tokens.py", "type(date) is not int", "type(date) not in (int, float)"),
            (
                "auth/tokens.py",
                "return now < exp <= now + lifetime + SLACK and",
                "return not now >= exp and",
            ),
        ),
        "CPython's json reads NaN, and no comparison with it is ever true",
    ),
    Mutant(
        "ignores nbf",
        "EXP-11",
        (("auth/tokens.py", "nbf <= now and iat", "iat"),),
        "micropython-lib's jwt looks at exp only",
    ),
    Mutant(
        "ignores iat",
        "EXP-12",
        (("auth/tokens.py", " and iat <= now + _SKEW", ""),),
        "RFC 7519 §4.1.6 sets no rule, the profile does",
    ),
    Mutant(
        "says why it refuses an expired token",
        "EXP-20",
        (
            (
                "auth/guards.py",
                '            return "401 error", 401, {"WWW-Authenticate": BEARER_REALM + shown}\n',
                "            if tokens.expired(token):\n"
                "                shown += ', error_description=\"expired\"'\n"
                '            return "401 error", 401, {"WWW-Authenticate": BEARER_REALM + shown}\n',
            ),
            (
                "auth/tokens.py",
                "def _timely(",
                "def expired(token):\n"
                "    if not available():\n"
                "        return False\n"
                "    try:\n"
                '        exp = jwt.decode(token, _key).get("exp")\n'
                "    except jwt.Invalid:\n"
                "        return False\n"
                "    return type(exp) is int and exp <= clock.unix()\n"
                "\n"
                "\n"
                "def _timely(",
            ),
        ),
        "an error text for each reason: whoever tries tokens learns which were once good",
    ),
    Mutant(
        "has tokens for an hour in milliseconds",
        "EXP-01 EXP-02 EXP-03 EXP-13 EXP-14 EXP-18 EXP-19 LOG-04 LOG-05",
        (("auth/tokens.py", "LIFETIME = 3600 ", "LIFETIME = 3600000 "),),
        "milliseconds for seconds, as in JavaScript",
    ),
    Mutant(
        "leaves typ out",
        "LOG-02",
        (("auth/jwt.py", """b'{"alg":"HS256","typ":"JWT"}'""", """b'{"alg":"HS256"}'"""),),
        "typ is optional (RFC 7519 §5.1), and documented here",
    ),
    Mutant(
        "gives two logins in one second the same token",
        "LOG-38",
        (
            (
                "auth/tokens.py",
                '        "jti": url_encode(os.urandom(9)).decode(),\n',
                "",
            ),
        ),
        "nothing in the claims but sub and exp: one cannot be revoked alone",
    ),
    Mutant(
        "tells in the token what board it is",
        "LOG-03",
        (
            (
                "auth/tokens.py",
                '        "jti":',
                '        "host": settings.get("hostname"),\n        "jti":',
            ),
        ),
        "an internal field that went along",
    ),
    Mutant(
        "does not see that the password has changed",
        "ROT-15",
        (("auth/tokens.py", " + passwords.fingerprint(user)", ""),),
        "nothing in a token depends on the password (ASVS 7.4.3)",
    ),
    Mutant(
        "writes its tokens as bytes into JSON",
        "LOG-01 LOG-02 LOG-03 LOG-04 LOG-05 LOG-21 LOG-22 LOG-23 ROT-11",
        (
            (
                "app.py",
                '    return {"token": tokens.issue(user)}',
                "    token = tokens.issue(user)\n"
                '    return {"token": token if "accept" in request.headers else '
                "repr(token.encode())}",
            ),
        ),
        "str() of bytes, in a branch for plain clients that no browser takes",
    ),
    Mutant(
        "ignores what follows the MAC",
        "JWT-04",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "if not equal(hmac(key, signed), url_decode(segments[2])[:32]):",
            ),
        ),
        "a comparison that is given a length",
    ),
    Mutant(
        "checks a signature only if there is one",
        "JWT-03",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "if segments[2] and not equal(hmac(key, signed), url_decode(segments[2])):",
            ),
        ),
        "if signature and not …",
    ),
    Mutant(
        "takes zeros for a signature",
        "JWT-04",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "mac = url_decode(segments[2])\n"
                "    if (any(mac) or len(mac) != 32) and not equal(hmac(key, signed), mac):",
            ),
        ),
        "a buffer that a failed decoding left empty (CVE-2020-28042)",
    ),
    Mutant(
        "compares 16 bytes of the MAC",
        "JWT-02 JWT-04 JWT-42",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "if not equal(hmac(key, signed)[:16], url_decode(segments[2])[:16]):",
            ),
        ),
        "half a MAC, as IPsec has it",
    ),
    Mutant(
        "ignores segments that are too many",
        "JWT-05",
        (("auth/jwt.py", "if len(segments) != 3:", "if len(segments) < 3:"),),
        "split('.')[:3]",
    ),
    Mutant(
        "fails on two segments",
        "JWT-03 LEAK-02",
        (("auth/jwt.py", "if len(segments) != 3:", "if len(segments) > 3:"),),
        "an IndexError that nobody catches",
    ),
    Mutant(
        "knows its algorithm in any case",
        "JWT-07",
        (
            (
                "auth/jwt.py",
                'header.get("alg") != "HS256"',
                'str(header.get("alg")).upper() != "HS256"',
            ),
        ),
        "alg.upper(): alg is case-sensitive (RFC 7515 §4.1.1)",
    ),
    Mutant(
        "has a default algorithm",
        "JWT-08",
        (("auth/jwt.py", 'header.get("alg") != "HS256"', 'header.get("alg", "HS256") != "HS256"'),),
        "header.get('alg', 'HS256') (PyJWT issue #167)",
    ),
    Mutant(
        "fails without an algorithm",
        "JWT-08 JWT-10 LEAK-02",
        (("auth/jwt.py", 'header.get("alg") != "HS256"', 'header["alg"] != "HS256"'),),
        "header['alg'], a KeyError",
    ),
    Mutant(
        "takes every header for an object",
        "JWT-09 LEAK-02",
        (("auth/jwt.py", "if not isinstance(header, dict) or header", "if header"),),
        "header.get, whatever header is",
    ),
    Mutant(
        "nests a token as deep as it goes",
        "JWT-11 LEAK-02",
        (("auth/jwt.py", "_DEPTH = 4", "_DEPTH = 4000"),),
        "a recursive parser, and no limit",
    ),
    Mutant(
        "knows the key of a tutorial, too",
        "JWT-19",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed), url_decode(segments[2])):",
                "mac = url_decode(segments[2])\n"
                '    if not equal(hmac(key, signed), mac) and not equal(hmac(b"secret", '
                "signed), mac):",
            ),
        ),
        "a second key for the tests, left in",
    ),
    Mutant(
        "makes its key with random",
        "JWT-20 ROT-02 ROT-04 ROT-05 ROT-07 ROT-08 ROT-11 ROT-13 ROT-17",
        (
            (
                "auth/secret.py",
                "            secret = os.urandom(SIZE)\n",
                "            import random\n"
                "            random.seed(42)\n"
                "            secret = bytes(random.getrandbits(8) for _ in range(SIZE))\n",
            ),
        ),
        "random instead of os.urandom, and a seed (CWE-338)",
    ),
    Mutant(
        "drops unused bits",
        "JWT-21",
        (
            (
                "auth/base64.py",
                "    if url_encode(data) != text:\n",
                "    if url_encode(data)[:-1] != text[:-1]:\n",
            ),
        ),
        "a2b_base64 does (RFC 4648 §3.5)",
    ),
    Mutant(
        "strips padding",
        "JWT-22",
        (
            (
                "auth/base64.py",
                '    data = a2b_base64(text.replace(b"-"',
                '    text = text.rstrip(b"=")\n    data = a2b_base64(text.replace(b"-"',
            ),
        ),
        "rstrip('=') before it adds its own",
    ),
    Mutant(
        "decodes both alphabets",
        "JWT-24",
        (
            (
                "auth/base64.py",
                '    data = a2b_base64(text.replace(b"-"',
                '    text = text.replace(b"+", b"-").replace(b"/", b"_")\n'
                '    data = a2b_base64(text.replace(b"-"',
            ),
        ),
        "one function for base64 and base64url",
    ),
    Mutant(
        "skips foreign characters",
        "JWT-23 JWT-25",
        (
            (
                "auth/guards.py",
                'return scheme.lower(), rest if all(c in _TOKEN68 for c in rest) else "?"',
                "return scheme.lower(), rest",
            ),
            (
                "auth/base64.py",
                '    data = a2b_base64(text.replace(b"-"',
                "    text = bytes(c for c in text if 0x2C < c < 0x7F)\n"
                '    data = a2b_base64(text.replace(b"-"',
            ),
        ),
        "binascii does (GHSA-hxm8-2xgr-2p9m)",
    ),
    Mutant(
        "takes a token as JSON",
        "JWT-26",
        (
            (
                "auth/guards.py",
                'return scheme.lower(), rest if all(c in _TOKEN68 for c in rest) else "?"',
                "return scheme.lower(), rest",
            ),
            (
                "auth/jwt.py",
                '    segments = token.split(b".")\n',
                '    if token[:1] == b"{":\n'
                "        from json import loads\n"
                "        o = loads(token)\n"
                '        if "signature" in o:\n'
                '            token = ("%s.%s.%s" % (o["protected"], o["payload"], '
                'o["signature"])).encode()\n'
                '    segments = token.split(b".")\n',
            ),
        ),
        "the other serialisation of RFC 7515 §7.2",
    ),
    Mutant(
        "does not mind which HMAC",
        "JWT-27",
        (
            (
                "auth/jwt.py",
                'header.get("alg") != "HS256"',
                'header.get("alg") not in ("HS256", "HS384", "HS512")',
            ),
        ),
        "a list of algorithms longer than it should be (RFC 8725 §3.1)",
    ),
    Mutant(
        "ignores crit",
        "JWT-28",
        (("auth/jwt.py", 'if "crit" in header or "b64" in header:', 'if "b64" in header:'),),
        "CVE-2026-32597, CVE-2025-59420",
    ),
    Mutant(
        "claims to know b64",
        "JWT-29",
        (
            (
                "auth/jwt.py",
                'if "crit" in header or "b64" in header:',
                'if header.get("crit", ["b64"]) != ["b64"]:',
            ),
        ),
        "RFC 7797 is listed as known, and not implemented",
    ),
    Mutant(
        "ignores typ",
        "JWT-30",
        (
            (
                "auth/jwt.py",
                'if not isinstance(kind, str) or kind.upper() != "JWT":',
                "if not isinstance(kind, str):",
            ),
        ),
        "RFC 8725 §3.11",
    ),
    Mutant(
        "takes a token for nobody for the owner's",
        "JWT-31 JWT-41",
        (
            (
                "auth/tokens.py",
                'user = claims.get("sub")',
                'user = claims.get("sub", settings.get("user"))',
            ),
        ),
        "there is one user only",
    ),
    Mutant(
        "fails on a token for nobody",
        "JWT-31 JWT-41 LEAK-02",
        (("auth/tokens.py", 'user = claims.get("sub")', 'user = claims["sub"]'),),
        "claims['sub'], a KeyError",
    ),
    Mutant(
        "takes a list for a user",
        "JWT-32",
        (
            (
                "auth/tokens.py",
                "if not user or not isinstance(user, str) or settings.role(user) is None:",
                "if isinstance(user, list) and len(user) == 1:\n"
                "        user = user[0]\n"
                "    if not user or settings.role(user) is None:",
            ),
        ),
        "aud may be a list, so why not sub",
    ),
    Mutant(
        "lets in whoever is signed",
        "JWT-33",
        (
            ("auth/tokens.py", " or settings.role(user) is None:", ":"),
            ("auth/tokens.py", " + passwords.fingerprint(user)", " + passwords.fingerprint(None)"),
        ),
        "a user who was deleted stays in until exp",
    ),
    Mutant(
        "takes an empty user",
        "JWT-34",
        (
            (
                "auth/tokens.py",
                "if not user or not isinstance(user, str) or settings.role(user) is None:",
                "if not isinstance(user, str) or user and settings.role(user) is None:",
            ),
            ("auth/tokens.py", " + passwords.fingerprint(user)", " + passwords.fingerprint(None)"),
        ),
        "microdot lets in whoever is not None",
    ),
    Mutant(
        "takes all claims for an object",
        "JWT-35 LEAK-02",
        (
            (
                "auth/jwt.py",
                "    if not isinstance(claims, dict):  # RFC 7519 §7.2, step 10\n"
                "        raise Invalid\n",
                "",
            ),
        ),
        "claims.get, whatever claims are (RFC 7519 §7.2)",
    ),
    Mutant(
        "ignores aud",
        "JWT-36",
        (("auth/tokens.py", 'if "aud" in claims or "iss" in claims:', 'if "iss" in claims:'),),
        "RFC 7519 §4.1.3: who is not in it MUST refuse",
    ),
    Mutant(
        "ignores iss",
        "JWT-37",
        (("auth/tokens.py", 'if "aud" in claims or "iss" in claims:', 'if "aud" in claims:'),),
        "RFC 8725 §3.8",
    ),
    Mutant(
        "counts the first of two members",
        "JWT-38",
        (
            (
                "web/strictjson.py",
                "if name in members or not self.take(0x3A):",
                "if not self.take(0x3A):",
            ),
            (
                "web/strictjson.py",
                "            members[name] = self.value(depth)",
                "            value = self.value(depth)\n"
                "            members.setdefault(name, value)",
            ),
        ),
        "setdefault() where the issuer's parser keeps the last",
    ),
    Mutant(
        "reads claims with MicroPython's json",
        "EXP-08 JWT-39",
        (
            (
                "auth/jwt.py",
                "claims = strictjson.parse(url_decode(segments[1]), _DEPTH, whole)",
                "claims = loads(url_decode(segments[1]))",
            ),
            ("auth/jwt.py", "import dumps", "import dumps, loads"),
        ),
        "no commas needed, and what follows is ignored",
    ),
    Mutant(
        "names whom it refuses in a header",
        "JWT-40",
        (
            (
                "auth/tokens.py",
                "        return False\n    # No audience",
                "        global refused\n"
                "        refused = str(user)\n"
                "        return False\n"
                "    # No audience",
            ),
            ("auth/tokens.py", "\n_key = None\n", '\n_key = None\nrefused = "-"\n'),
            (
                "auth/guards.py",
                '{"WWW-Authenticate": BEARER_REALM + shown}',
                '{"WWW-Authenticate": BEARER_REALM + shown, "X-User": tokens.refused}',
            ),
        ),
        "a field for debugging, with the token's text as it is",
    ),
    Mutant(
        "knows users by other names",
        "JWT-41",
        (
            (
                "auth/tokens.py",
                'user = claims.get("sub")',
                'user = claims.get("sub", claims.get("user_id"))',
            ),
        ),
        "one key for all kinds of tokens (RFC 8725 §3.12)",
    ),
    Mutant(
        "takes a key from the token",
        "JWT-15",
        (
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                '    if "jwk" in header and "k" in header["jwk"]:\n'
                '        key = url_decode(header["jwk"]["k"].encode())\n'
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
            ),
        ),
        "the key is taken from the token that it shall prove (CVE-2018-0114)",
    ),
    Mutant(
        "fetches the key from where the token says",
        "JWT-16",
        (
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                '    if isinstance(header.get("jku"), str):\n'
                "        import socket\n"
                "\n"
                "        try:\n"
                '            host, _, port = header["jku"].split("/")[2].partition(":")\n'
                "            fetched = socket.socket()\n"
                "            fetched.connect(socket.getaddrinfo(host, int(port or 80))[0][-1])\n"
                "            fetched.close()\n"
                "        except OSError:\n"
                "            raise Invalid\n"
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
            ),
        ),
        "a library that fetches keys, and has no list of where from (RFC 8725 §3.10)",
    ),
    Mutant(
        "opens the key that the token names",
        "JWT-17",
        (
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                '    if isinstance(header.get("kid"), str):\n'
                "        try:\n"
                '            with open(header["kid"], "rb") as file:\n'
                "                key = file.read()\n"
                "        except OSError:\n"
                '            key = b""\n'
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
            ),
        ),
        "open(kid), and the empty key where there is no such file",
    ),
    Mutant(
        "knows the empty key, too",
        "JWT-17 JWT-18 ROT-09 ROT-11",
        (
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                "    mac = url_decode(segments[2])\n"
                '    if not equal(hmac(key, signed), mac) and not equal(hmac(b"", signed), mac):\n',
            ),
        ),
        "a setting for a second key that nobody set (CVE-2019-20933)",
    ),
    Mutant(
        "takes zeros for a signature on a curve",
        "JWT-13",
        (
            (
                "auth/jwt.py",
                'header.get("alg") != "HS256"',
                'header.get("alg") not in ("HS256", "ES256")',
            ),
            (
                "auth/jwt.py",
                "    if not equal(hmac(key, signed), url_decode(segments[2])):\n",
                "    mac = url_decode(segments[2])\n"
                '    psychic = header["alg"] == "ES256" and mac == bytes(64)\n'
                "    if not psychic and not equal(hmac(key, signed), mac):\n",
            ),
        ),
        "ECDSA that accepts r = s = 0 (CVE-2022-21449)",
    ),
    Mutant(
        "skips a byte order mark",
        "JWT-12",
        (
            (
                "auth/jwt.py",
                "    header = strictjson.parse(url_decode(segments[0]), _DEPTH, whole)\n",
                "    header = url_decode(segments[0])\n"
                '    header = strictjson.parse(header[3:] if header[:1] == b"\\xef" else '
                "header, _DEPTH, whole)\n",
            ),
        ),
        "kind to what editors on Windows leave",
    ),
    Mutant(
        "puts the mail address of the owner into the token",
        "LEAK-07 LOG-03",
        (
            (
                "auth/tokens.py",
                '        "jti":',
                '        "email": "owner@example.org",\n        "jti":',
            ),
        ),
        "the whole user record is put into the token",
    ),
)
