"""Mistakes with API keys: where they are looked for, and how much of them counts."""

from __future__ import annotations

from .mutant import FeatureMutant

_HOLDER = '        name = holder(key) if scheme == "apikey" and key else None\n'


def _holder(*lines: str) -> tuple[str, str, str]:
    return ("auth/api_keys.py", _HOLDER, "".join(f"        {line}\n" for line in lines))


API_KEYS = (
    FeatureMutant(
        "takes the first word for the key",
        "KEY-01",
        (
            _holder(
                'words = request.headers.get("authorization", "").split()',
                'name = holder(words[1]) if scheme == "apikey" and len(words) > 1 else None',
            ),
        ),
        "split()[1]",
    ),
    FeatureMutant(
        "reads 32 characters of a key",
        "KEY-01",
        (("auth/api_keys.py", "sha256(key.encode())", "sha256(key[:32].encode())"),),
        "a field of fixed length, as bcrypt's 72 bytes",
    ),
    FeatureMutant(
        "knows Apikey in one spelling only",
        "KEY-02",
        (
            _holder(
                'field = request.headers.get("authorization", "")',
                'name = holder(key) if field.startswith("Apikey ") and key else None',
            ),
        ),
        "startswith('Apikey ')",
    ),
    FeatureMutant(
        "takes one blank before a key",
        "KEY-03",
        (("auth/guards.py", '    rest = rest.lstrip(" ")\n', ""),),
        "the key is everything after the first blank",
    ),
    FeatureMutant(
        "fails on a field that is no UTF-8",
        "KEY-07",
        (("web/head.py", "        except UnicodeError:\n", "        except KeyError:\n"),),
        "decode() raises UnicodeError, which nobody catches",
    ),
    FeatureMutant(
        "asks for a token where a key would do",
        "KEY-08",
        (
            (
                "auth/api_keys.py",
                '                answer[2]["WWW-Authenticate"] += _REALM\n',
                "                pass\n",
            ),
        ),
        "one challenge for all routes",
    ),
    FeatureMutant(
        "finds a key in the URL",
        "KEY-09",
        (
            ("web/front.py", "            head.path,\n", "            head.target,\n"),
            (
                "web/head.py",
                "        self.path = _path(target)\n",
                "        self.path = _path(target)\n"
                '        self.target = self.path + "?" + target.partition("?")[2]\n',
            ),
            _holder(
                'if "api_key" in request.args:',
                '    scheme, key = "apikey", request.args["api_key"]',
                'name = holder(key) if scheme == "apikey" and key else None',
            ),
        ),
        "it is easier for the client, and stands in every log",
    ),
    FeatureMutant(
        "takes a key under any scheme",
        "KEY-10",
        (_holder("name = holder(key) if key else None"),),
        "whatever stands behind the first blank is a key",
    ),
    FeatureMutant(
        "takes a key without a scheme",
        "KEY-10",
        (
            _holder(
                "if not key:",
                '    scheme, key = "apikey", request.headers.get("authorization", "")',
                'name = holder(key) if scheme == "apikey" and key else None',
            ),
        ),
        "the scheme is cut off where it is there, and not demanded",
    ),
    FeatureMutant(
        "finds a key in X-Api-Key",
        "KEY-10",
        (
            _holder(
                'if "x-api-key" in request.headers:',
                '    scheme, key = "apikey", request.headers["x-api-key"]',
                'name = holder(key) if scheme == "apikey" and key else None',
            ),
        ),
        "a second place for the key, of which no proxy knows that it is a credential",
    ),
)
