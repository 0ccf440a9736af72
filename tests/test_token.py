"""Token integrity: what this board has signed opens the route, exactly as it was signed.

Where the bench knows the board's key, an altered token is also signed anew: then the alteration is
all that is wrong with it.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from hil.auth import timing, tokens, verdict
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretBytes, SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.control import MintControl
    from hil.fixtures.timing import SameTime
    from hil.target import Target

    Seal = Callable[[str], dict[str, SecretStr]]
    Minted = Callable[..., SecretStr]

DAY = 86_400

# An answer that took this much longer than a control's was held up, seconds: half of what the token
# asks for.
DELAY_S = 5.0

# How long a target gets for a connection that it starts after its answer, seconds.
GRACE_S = 0.1

FOREIGN = {"a blank": " ", "!": "!", "é": "é", "%": "%"}


pytestmark = pytest.mark.usefixtures("bearer_control")


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


@pytest.fixture
def issued(token: SecretStr) -> tokens.Decoded:
    """What the token says."""
    return verdict.decoded(token)


@pytest.fixture
def seal(target: Target, token: SecretStr, issued: tokens.Decoded) -> Seal:
    """``seal(signed)``: header and payload segments as given, under the signature of a sound token,
    under none, and under the right one where the bench has the board's key."""
    mint, (_, _, signature) = target.controls.mint, tokens.segments(token)

    def seal(signed: str) -> dict[str, SecretStr]:
        sealed = {
            "old signature": SecretStr(f"{signed}.{signature}"),
            "no signature": SecretStr(f"{signed}."),
        }
        if not isinstance(mint, Absent):
            sealed["right signature"] = mint.sign(signed, algorithm(issued))
        return sealed

    return seal


@pytest.fixture
def minted(api: Api, raw: RawClient, mint: MintControl, issued: tokens.Decoded) -> Minted:
    """Tokens that differ from a sound one in what is given, as ``mint`` takes it, and in no more.

    Minting has its positive control here: the bench's signature is the board's.
    """

    def minted(
        claims: Mapping[str, Any] | None = None, *, without: str = "", **options: Any
    ) -> SecretStr:
        body = {**issued.claims, **(claims or {})}
        body.pop(without, None)
        return mint(**{"only": body, "alg": algorithm(issued), **options})

    verdict.accepted(
        raw.send(api.compose_resource(token=minted())),
        "a sound token signed with the board's own key",
    )
    return minted


def algorithm(issued: tokens.Decoded) -> str:
    return str(issued.header.get("alg"))


def use_all(api: Api, raw: RawClient, variants: Mapping[str, str]) -> dict[str, Answer]:
    """Present each as a bearer token, several at once."""
    return verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in variants.items()}
    )


def with_headers(seal: Seal, token: str, headers: Mapping[str, Any]) -> dict[str, SecretStr]:
    """The token with each of these headers: bytes as they are, or a JSON value."""
    _, payload, _ = tokens.segments(token)
    variants = {}
    for name, header in headers.items():
        data = header if isinstance(header, bytes) else tokens.json_bytes(header)
        for form, sealed in seal(f"{tokens.encode_segment(data)}.{payload}").items():
            variants[f"{name}, {form}"] = sealed
    return variants


def own_key(issued: tokens.Decoded, key: bytes, header: Mapping[str, Any]) -> SecretStr:
    """The same claims, signed with a key of ours."""
    return tokens.mint(issued.claims, key, header=header, alg=algorithm(issued))


def own_rsa_key(issued: tokens.Decoded, header: Mapping[str, Any]) -> SecretStr:
    """The same claims by RS256, signed with a key of ours."""
    from hil.auth import rsa

    signed, _, _ = tokens.mint(issued.claims, b"", header=header, alg="RS256").rpartition(".")
    return SecretStr(f"{signed}.{tokens.encode_segment(rsa.sign(signed.encode()))}")


@check("JWT-01", must, "WSTG-SESS-10; ASVS 9.1.1")
def test_changed_claims_under_the_old_signature_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, issued: tokens.Decoded
) -> None:
    """Usual cause: the payload is decoded, and the signature is not looked at."""
    header, _, signature = tokens.segments(token)
    claim = profile.token.user_claim
    other = "root" if issued.claims.get(claim) == "admin" else "admin"
    changed = {
        "another user": {**issued.claims, claim: other},
        "a later end": {**issued.claims, "exp": profile.date(round(time.time()) + 2 * DAY)},
        "one claim more": {**issued.claims, "x": 1},
    }
    variants = {}
    for name, claims in changed.items():
        payload = tokens.encode_segment(tokens.json_bytes(claims))
        variants[name] = SecretStr(f"{header}.{payload}.{signature}")
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a signature covers the claims", status=profile.bad_token)


@check("JWT-02", must, 'jwt_tool "broken signature"; wycheproof tc2')
def test_a_broken_signature_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """One bit flipped, and shortened by one to four characters.

    Usual cause: a comparison up to the shorter length.
    """
    variants = {"one bit": tokens.forge(token)}
    variants |= {f"{n} shorter": SecretStr(token[:-n]) for n in (1, 2, 3, 4)}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "the signature is wrong", status=profile.bad_token)
    verdict.says(answers["one bit"], "a wrong signature", profile.refusals.bodies.get("token"))


@check("JWT-03", must, "wycheproof tc3,4")
def test_a_token_without_its_signature_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: a missing signature compared up to its own length, which is none."""
    header, payload, _ = tokens.segments(token)
    variants = {
        "an empty signature": SecretStr(f"{header}.{payload}."),
        "two segments": SecretStr(f"{header}.{payload}"),
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a token is signed", status=profile.bad_token)


@check("JWT-04", must, "CVE-2020-28042")
def test_a_signature_of_nothing_or_another_length_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """All zeros, one byte, the first 16 bytes of the right one, and the right one and a byte more.

    Usual cause: a comparison of what both have, or a buffer that a failed decoding left empty.
    """
    header, payload, signature = tokens.segments(token)
    mac = SecretBytes(tokens.decode_segment(signature))
    signatures = {
        "zeros": bytes(len(mac)),
        "one byte of zero": b"\0",
        "the first 16 bytes": SecretBytes(mac[:16]),
        "one byte more": SecretBytes(mac + b"\0"),
    }
    variants = {
        name: SecretStr(f"{header}.{payload}.{tokens.encode_segment(data)}")
        for name, data in signatures.items()
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "the whole MAC, and no more", status=profile.bad_token)


@check("JWT-05", must, 'wycheproof tc5–15; ZAP "..."')  # noqa: RUF001 - as it stands there
def test_another_number_of_segments_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``split('.')[:3]``; an IndexError that ends in a 500."""
    header, payload, signature = tokens.segments(token)
    variants = hidden(
        {
            "four segments": f"{token}.{signature}",
            "five segments": f"{token}.{payload}.{signature}",
            "a dot": ".",
            "two dots": "..",
            "three dots": "...",
            "no payload": f"{header}..{signature}",
            "no header": f".{payload}.{signature}",
            "a dot at the end": f"{token}.",
            "a dot at the start": f".{token}",
            "nothing": "",
        }
    )
    answers = use_all(api, raw, variants)
    # Where no scheme is before it, an empty field may be none.
    nothing = {"nothing": answers.pop("nothing")}
    empty = profile.bad_token if profile.resource.scheme else profile.no_token
    verdict.refused_all(answers, "a token has three segments", status=profile.bad_token)
    verdict.refused_all(nothing, "a token has three segments", status=empty)


@check("JWT-06", must, "CVE-2015-2951; RFC 8725 §3.1")
def test_an_unsigned_token_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, issued: tokens.Decoded
) -> None:
    """``alg: none`` in any case of letters, without a signature and with the old one.

    Usual cause: the algorithm is taken from the token's own header.
    """
    _, _, signature = tokens.segments(token)
    variants = {}
    for alg in ("none", "None", "NONE", "nOnE"):
        unsigned = tokens.mint(issued.claims, b"", alg=alg)
        variants[alg] = unsigned
        variants[f"{alg}, with the old signature"] = SecretStr(unsigned + signature)
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a token is signed", status=profile.bad_token)


@check("JWT-07", must, "RFC 7515 §4.1.1")
def test_an_algorithm_in_another_spelling_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, issued: tokens.Decoded, seal: Seal
) -> None:
    """Empty, no text at all, in small letters, with a blank: "alg" is case-sensitive.

    Usual cause: ``alg.upper()``, or an error of ``alg`` as a list or null that ends in a 500.
    """
    alg = algorithm(issued)
    algs: dict[str, Any] = {
        '""': "",
        "null": None,
        "[]": [],
        "in a list": [alg],
        "true": True,
        "small letters": alg.lower(),
        "a blank after it": f"{alg} ",
    }
    headers = {name: {**issued.header, "alg": value} for name, value in algs.items()}
    answers = use_all(api, raw, with_headers(seal, token, headers))
    verdict.refused_all(answers, f"alg is {alg}", status=profile.bad_token)


@check("JWT-08", must, "RFC 7515 §4.1.1 MUST; PyJWT issue #167")
def test_a_header_without_an_algorithm_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, issued: tokens.Decoded, seal: Seal
) -> None:
    """Usual cause: ``header.get('alg', 'HS256')``, or a KeyError that ends in a 500."""
    without = {name: value for name, value in issued.header.items() if name != "alg"}
    headers = {"no alg": without, "an empty object": {}}
    answers = use_all(api, raw, with_headers(seal, token, headers))
    verdict.refused_all(answers, "alg must be there", status=profile.bad_token)


@check("JWT-09", must, "RFC 7515 §5.2 (must be an object)")
def test_a_header_that_is_no_object_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, seal: Seal
) -> None:
    """Usual cause: an AttributeError of ``header.get`` that ends in a 500."""
    headers = {"[]": [], "5": 5, "null": None, '"x"': "x", "true": True}
    answers = use_all(api, raw, with_headers(seal, token, headers))
    verdict.refused_all(answers, "the header is a JSON object", status=profile.bad_token)


@check("JWT-10", must, "RFC 7515 §5.2 (must be an object)")
def test_swapped_segments_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, seal: Seal
) -> None:
    """Payload first, then the header.

    Usual cause: an error of a header without ``alg`` that ends in a 500.
    """
    header, payload, _ = tokens.segments(token)
    answers = use_all(api, raw, seal(f"{payload}.{header}"))
    verdict.refused_all(answers, "the header comes first", status=profile.bad_token)


@check("JWT-11", must, "ASVS 16.5.3")
def test_a_deeply_nested_header_is_refused(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """50 to 700 levels, in less than 2 KiB: refused, and the board stays up.

    Usual cause: a parser that recurses as deep as the text does, and an error that nobody catches.
    """
    nested = {f"{depth} arrays": "[" * depth + "]" * depth for depth in (50, 200, 700)}
    nested |= {f"{depth} objects": '{"":' * depth + "0" + "}" * depth for depth in (50, 250)}
    nested["700 arrays without an end"] = "[" * 700
    sound = tokens.json_bytes({"alg": algorithm(issued), "typ": profile.token.type})[:-1]
    variants = {}
    for name, value in nested.items():
        header = tokens.encode_segment(sound + b',"x":' + value.encode() + b"}")
        variants[name] = SecretStr(f"{header}.e30.{tokens.encode_segment(bytes(32))}")
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "whatever a header holds", status=profile.bad_token)


@check("JWT-12", must, "RFC 7515 §5.2")
def test_a_header_that_is_not_json_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, issued: tokens.Decoded, seal: Seal
) -> None:
    """Cut, empty, no base64, not UTF-8, and with a byte order mark.

    Usual cause: an exception of the decoder that is no ValueError and ends in a 500.
    """
    header, payload, _ = tokens.segments(token)
    sound = tokens.json_bytes(issued.header)
    headers = {
        "cut": sound[:-1],
        "no JSON": b"alg=" + algorithm(issued).encode(),
        "two objects": sound + sound,
        "not UTF-8": sound[:-1] + b',"x":"\xff\xc0"}',
        "a byte order mark": b"\xef\xbb\xbf" + sound,
        "UTF-16": sound.decode().encode("utf-16"),
    }
    variants = with_headers(seal, token, headers)
    segments = {"empty": "", "one character of base64": "e", "no base64": "*" * len(header)}
    for name, segment in segments.items():
        variants |= {
            f"{name}, {form}": sealed for form, sealed in seal(f"{segment}.{payload}").items()
        }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "the header is JSON in UTF-8", status=profile.bad_token)


@check("JWT-13", must, "CVE-2022-21449")
def test_a_psychic_signature_is_refused(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """A signature of zeros for RSA and elliptic curves, in DER and plain.

    Usual cause: the algorithm is taken from the token's header; then ECDSA that accepts r = s = 0.
    """
    signatures = {"DER": "MAYCAQACAQA", "plain": tokens.encode_segment(bytes(64))}
    variants = {}
    for alg in ("RS256", "ES256", "PS256"):
        unsigned = tokens.mint(issued.claims, b"", header=issued.header | {"alg": alg}, alg=alg)
        for form, signature in signatures.items():
            variants[f"{alg}, {form}"] = SecretStr(unsigned + signature)
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a signature of zeros", status=profile.bad_token)


@check("JWT-14", must, "CVE-2016-10555; RFC 8725 §2.1")
def test_a_public_key_is_no_signing_key(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """HMAC by every form of every public key that the target shows: TLS certificate, JWKS.

    Usual cause: one ``key`` for all algorithms, and the algorithm taken from the token's header.
    """
    from hil.auth import public_keys

    keys = {}
    if api.base_url.startswith("https:"):
        pem = ssl.get_server_certificate((raw.address, raw.port), timeout=raw.timeout)
        keys = {f"certificate, {form}": key for form, key in public_keys.of_pem(pem).items()}
    documents = verdict.probe(
        raw, {place: api.compose("GET", place) for place in public_keys.PLACES}
    )
    for place, document in documents.items():
        if document.status == 200:
            found = public_keys.shown_in(document.body)
            keys |= {f"{place}, {form}": key for form, key in found.items()}
    if not keys:
        pytest.skip(
            "needs a public key, but this target shows none: no TLS, and no JWKS at "
            + ", ".join(public_keys.PLACES)
        )
    variants = {
        name: tokens.mint(issued.claims, key, header={"typ": issued.header.get("typ")})
        for name, key in keys.items()
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a public key signs nothing", status=profile.bad_token)


@check("JWT-15", must, "CVE-2018-0114; ASVS 9.1.3")
def test_a_key_inside_the_token_is_not_used(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """A header with ``jwk``, symmetric and RSA, signed with that key.

    Usual cause: the key is taken from the token that it shall prove.
    """
    from hil.auth import rsa

    key = bytes(range(32))
    jwk = {"kty": "oct", "k": tokens.encode_segment(key), "alg": algorithm(issued)}
    variants = {
        "oct": own_key(issued, key, {"jwk": jwk}),
        "oct, with kid": own_key(issued, key, {"jwk": jwk | {"kid": "1"}, "kid": "1"}),
        "RSA": own_rsa_key(issued, {"jwk": rsa.public_jwk()}),
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a token brings no key", status=profile.bad_token)


@check("JWT-16", must, "RFC 8725 §3.10")
def test_no_key_is_fetched_from_where_a_token_says(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """``jku``, ``x5u``, ``x5c`` and ``kid`` with a URL of the bench: refused, and nobody connects.

    Usual cause: a library that fetches keys, and has no list of where from.
    """
    from hil.auth import listener

    with listener.Listener(listener.facing(raw.address)) as bench:
        url = f"{bench.url}/jwks.json"
        headers: dict[str, dict[str, Any]] = {
            "jku": {"jku": url, "kid": "1"},
            "x5u": {"x5u": url},
            "x5c": {"x5c": [url]},
            "kid": {"kid": url},
        }
        variants = {}
        for name, header in headers.items():
            variants[f"{name}, HMAC"] = own_key(issued, b"1", header)
            variants[f"{name}, RSA"] = own_rsa_key(issued, header)
        answers = use_all(api, raw, variants)
        if bench.called(GRACE_S):
            raise Finding(
                "promised: no key is fetched from where a token says\n"
                f"sent: {len(variants)} tokens whose header has a URL of the bench\n"
                f"got: a connection to {bench.url} from {', '.join(sorted(set(bench.callers)))}"
            )
    verdict.refused_all(answers, "a key of someone else", status=profile.bad_token)


@check("JWT-17", must, "jwt_tool playbook; PortSwigger")
def test_a_key_name_opens_no_file_and_runs_nothing(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """``kid`` as a path, SQL, a shell command and a number, signed with an empty key and with "1".

    Usual cause: ``open(kid)``, or a query put together from it: both give a key that is known.
    """
    kids: dict[str, Any] = {
        "a path upwards": "../../../../dev/null",
        "/dev/null": "/dev/null",
        "empty": "",
        "the key's file": profile.files.secret or "secret.bin",
        "SQL": "' UNION SELECT '1",
        "SQL, commented": "x' UNION SELECT '1'-- -",
        "5": 5,
    }
    variants = {
        f"{name}, signed with {told}": own_key(issued, key, {"kid": kid})
        for name, kid in kids.items()
        for told, key in (("the empty key", b""), ('"1"', b"1"))
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a key of someone else", status=profile.bad_token)

    def took(kid: str) -> tuple[float, Answer]:
        request = api.compose_resource(token=own_key(issued, b"1", {"kid": kid}))
        started = time.monotonic()
        answer = raw.send(request)
        return time.monotonic() - started, answer

    usual, _ = took("1")
    for kid in ("|sleep 10", "x; sleep 10", "x' OR sleep(10)-- -"):
        slow, answer = took(kid)
        if slow > usual + DELAY_S:
            verdict.broken(
                "a kid is no command", answer, f"{slow:.1f} s with {kid!r}, {usual:.1f} s without"
            )
        verdict.refused(answer, "a key of someone else", status=profile.bad_token)


@check("JWT-18", must, "CVE-2019-20933")
def test_the_empty_key_signs_nothing(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """Usual cause: a key's file that was empty, or a setting that nobody set."""
    answer = raw.send(api.compose_resource(token=own_key(issued, b"", {})))
    verdict.refused(answer, "signed with the empty key", status=profile.bad_token)


@check("JWT-19", must, "ASVS 13.2.3")
def test_a_published_key_signs_nothing(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded
) -> None:
    """The tutorials' own secrets, and what people type where a key is wanted.

    Usual cause: the constant of an example, left as it was. A finding tells the entry's number in
    weak_keys.txt, not its text.
    """
    from hil.auth import weak_keys

    variants = {
        f"entry {number}": own_key(issued, word.encode(), {})
        for number, word in enumerate(weak_keys.published(), 1)
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "signed with a published key", status=profile.bad_token)


@check("JWT-20", must, "WSTG-SESS-10; RFC 8725 §3.5")
def test_the_key_of_a_token_cannot_be_guessed(
    target: Target, api: Api, profile: Profile, token: SecretStr, issued: tokens.Decoded
) -> None:
    """A dictionary against one token, offline: published keys, words of this target, its unique id,
    what can be made of them, keys of one byte, generators with a known seed.

    Usual cause: a key that a person chose; a key of ``random`` instead of ``os.urandom``; a key
    made of ``machine.unique_id()``, which the board tells anybody over USB.
    """
    from hil.auth import weak_keys

    context = {
        "the user name": api.credentials.user,
        "the password": api.credentials.password,
        "the title": profile.title,
        "the host": urlsplit(api.base_url).hostname or "",
        "the base URL": api.base_url,
    }
    if profile.given_basic:
        context["the realm"] = profile.given_basic.realm
        context["the answer to Basic"] = profile.given_basic.answer
    context |= {f"the claim {name}": str(value) for name, value in issued.claims.items()}
    numbers = {}
    if target.unique_id:
        context["the board's unique id in hex"] = target.unique_id.hex()
        numbers["the board's unique id"] = target.unique_id
    found = weak_keys.find(token, weak_keys.candidates(context, numbers))
    if found:
        raise Finding(
            "promised: nobody finds the signing key by trying\n"
            f"got: it is {found} (found offline, from one token)"
        )


@check("JWT-21", should, "RFC 4648 §3.5 (MAY reject)")
def test_a_signature_has_one_spelling(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """The last character's unused bits, which must be zero.

    Usual cause: a decoder that drops them. Who bars a token by its text bars one spelling of it.
    """
    header, payload, signature = tokens.segments(token)
    others = tokens.respelled(signature)
    if not others:
        pytest.skip("needs a signature with unused bits, but 48 bytes have none")
    variants = {
        f"spelling {number}": SecretStr(f"{header}.{payload}.{other}")
        for number, other in enumerate(others, 2)
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "unused bits are zero", status=profile.bad_token)


@check("JWT-22", should, "RFC 7515 §2 (no padding)")
def test_padding_after_a_token_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: a decoder that stops at the first ``=``."""
    variants = {tail: SecretStr(token + tail) for tail in ("=", "==", "=junk")}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "base64url without padding", status=profile.bad_token)


@check("JWT-23", must, "RFC 7515 §5.2; RFC 4648 §3.3; wycheproof tc360–364; GHSA-hxm8-2xgr-2p9m")  # noqa: RUF001
def test_foreign_characters_in_a_signature_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """One, and four, which leave the length a multiple of what it was.

    Usual cause: a decoder that skips what is not base64.
    """
    header, payload, signature = tokens.segments(token)
    variants = {}
    for name, foreign in FOREIGN.items():
        for times in (1, 4):
            dirty = SecretStr(f"{signature[:8]}{foreign * times}{signature[8:]}")
            variants[f"{name}, {times}"] = SecretStr(f"{header}.{payload}.{dirty}")
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "base64url and nothing else", status=profile.bad_token)


@check("JWT-24", should, "RFC 7515 §2")
def test_the_other_base64_alphabet_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """``+`` and ``/`` for ``-`` and ``_``, in the signature.

    Usual cause: both alphabets are decoded, so that one token has several spellings.
    """
    for _ in range(20):  # three in four signatures have one of the two
        header, payload, signature = tokens.segments(token)
        standard = SecretStr(signature.translate({ord("-"): "+", ord("_"): "/"}))
        if standard != signature:
            break
        another = api.token()
        if another == token:
            time.sleep(1)  # its tokens differ by the second in which they end, and by nothing else
            another = api.token()
        token = another
    else:
        pytest.skip('needs a signature with "-" or "_", but 20 tokens have none')
    answer = raw.send(api.compose_resource(token=SecretStr(f"{header}.{payload}.{standard}")))
    verdict.refused(answer, "base64url", status=profile.bad_token)


@check("JWT-25", must, "wycheproof tc365–371")  # noqa: RUF001
def test_foreign_characters_in_header_or_payload_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr, seal: Seal
) -> None:
    """Signed with them and without them, one and four at a time.

    Usual cause: a decoder that skips what is not base64: two readers then read two tokens.
    """
    header, payload, _ = tokens.segments(token)
    variants = {}
    for name, foreign in FOREIGN.items():
        for times in (1, 4):
            dirt = foreign * times
            for place, signed in {
                "header": f"{header[:8]}{dirt}{header[8:]}.{payload}",
                "payload": f"{header}.{payload[:8]}{dirt}{payload[8:]}",
            }.items():
                for form, sealed in seal(signed).items():
                    variants[f"{name} in the {place}, {times}, {form}"] = sealed
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "base64url and nothing else", status=profile.bad_token)


@check("JWT-26", must, "wycheproof tc17")
def test_what_is_no_compact_token_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """The same token as JSON (RFC 7515 section 7.2), words for nothing, and SQL.

    Usual cause: an exception of the parser that ends in a 500.
    """
    header, payload, signature = tokens.segments(token)
    signing = {"protected": header, "signature": signature}
    variants = hidden(
        {
            "flattened JSON": json.dumps({"payload": payload, **signing}),
            "general JSON": json.dumps({"payload": payload, "signatures": [signing]}),
            "null": "null",
            "undefined": "undefined",
            "SQL": "' OR 1=1--",
            "an object": "{}",
            "a list": "[]",
        }
    )
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a token in compact form", status=profile.bad_token)


@check("JWT-27", must, "RFC 8725 §3.1")
def test_another_hash_under_the_right_key_is_refused(
    api: Api,
    raw: RawClient,
    profile: Profile,
    issued: tokens.Decoded,
    mint: MintControl,
    minted: Minted,
) -> None:
    """Another HMAC than the profile's, said in the header, and not said.

    Usual cause: the algorithm is taken from the token's header.
    """
    alg = algorithm(issued)
    others = [o for o in ("HS256", "HS384", "HS512") if o not in profile.token.algorithms]
    variants = {other: minted(alg=other) for other in others}
    for other in others:
        variants[f"{other} by the header, {alg} in truth"] = minted(header={"alg": other})
    header, payload, right = tokens.segments(minted())
    size = len(tokens.decode_segment(right))
    for other in others:
        signature = tokens.segments(mint.sign(f"{header}.{payload}", other))[2]
        cut = SecretStr(tokens.encode_segment(tokens.decode_segment(signature)[:size]))
        name = f"{alg} by the header, {other} in truth"
        variants[name] = SecretStr(f"{header}.{payload}.{signature}")
        variants[f"{name}, cut to {size} bytes"] = SecretStr(f"{header}.{payload}.{cut}")
    answers = use_all(api, raw, variants)
    allowed = ", ".join(profile.token.algorithms)
    verdict.refused_all(answers, f"signed by {allowed}", status=profile.bad_token)


@check("JWT-28", must, "RFC 7515 §4.1.11; CVE-2026-32597; CVE-2025-59420")
def test_an_unknown_critical_extension_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """``crit`` names what a reader must understand or refuse; the token is sound otherwise.

    Usual cause: ``crit`` is not looked at.
    """
    name = "x-hil-unknown"
    headers: dict[str, dict[str, Any]] = {
        "there": {"crit": [name], name: True},
        "not there": {"crit": [name]},
        "beside a known one": {"crit": ["exp", name], "exp": 1, name: True},
    }
    variants = {name: minted(header=header) for name, header in headers.items()}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "an extension nobody knows", status=profile.bad_token)


@check("JWT-29", should, "RFC 7797")
def test_an_unencoded_payload_is_refused(
    api: Api,
    raw: RawClient,
    profile: Profile,
    mint: MintControl,
    minted: Minted,
    issued: tokens.Decoded,
) -> None:
    """``b64: false``, which ``crit`` must name: the payload then stands as it is, in the token or
    under the signature.

    Usual cause: ``crit`` is not looked at.
    """
    as_if_not_said = minted(header={"b64": False, "crit": ["b64"]})
    header, payload, _ = tokens.segments(as_if_not_said)
    plain = tokens.decode_segment(payload).decode()
    unencoded = mint.sign(f"{header}.{plain}", algorithm(issued))
    signature = SecretStr(unencoded.rpartition(".")[2])
    variants = {
        "encoded all the same": as_if_not_said,
        "as it is": unencoded,
        "encoded, signed as it is": SecretStr(f"{header}.{payload}.{signature}"),
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a payload is base64url", status=profile.bad_token)


@check("JWT-30", should, "RFC 8725 §3.11; ASVS 9.2.2")
def test_a_token_of_another_type_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """``typ`` says what a token is for; this one is for something else, and sound otherwise.

    Usual cause: ``typ`` is not looked at.
    """
    types = {"refresh+jwt", "at+jwt", "application/at+jwt"} - {profile.token.type}
    variants = {kind: minted(header={"typ": kind}) for kind in sorted(types)}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, f"typ is {profile.token.type}", status=profile.bad_token)


@check("JWT-31", must, "OpenMV docs 10.9 (sub → current_user)")
def test_a_token_for_nobody_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """No ``sub``, or what else names the user whom the handler sees.

    Usual cause: ``claims['sub']``, a KeyError that ends in a 500; ``claims.get('sub')``.
    """
    answer = raw.send(api.compose_resource(token=minted(without=profile.token.user_claim)))
    verdict.refused(answer, "a token names its user", status=profile.bad_token)


@check("JWT-32", must, "RFC 7519 §4.1.2")
def test_a_user_of_another_type_is_refused(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded, minted: Minted
) -> None:
    """``sub`` is a text; as a number, true, a list or an object with the user in it, it is refused.
    Where another claim names the user, by a number, that is a number.

    Usual cause: ``in`` where ``==`` is meant; an object as current_user.
    """
    name, user = profile.token.user_claim, _user(issued, profile)
    users: dict[str, Any] = {
        "true": True,
        "[]": [],
        "[user]": [user],
        "{}": {},
        "{user: user}": {str(user): user},
    }
    if isinstance(user, str):
        users |= {"0": 0, "1": 1, "1.5": 1.5}
    else:
        users |= {"as text": str(user), "a half more": user + 0.5}
    variants = {told: minted({name: other}) for told, other in users.items()}
    answers = use_all(api, raw, variants)
    kind = "text" if isinstance(user, str) else "number"
    verdict.refused_all(answers, f"{name} is a {kind}", status=profile.bad_token)


def _user(issued: tokens.Decoded, profile: Profile) -> str | int:
    """Whose token it is, as the token says it."""
    user = issued.claims.get(profile.token.user_claim)
    if isinstance(user, bool) or not isinstance(user, str | int):
        told = f"the claim {profile.token.user_claim} is a {type(user).__name__}"
        raise Finding(f"{told}; promised: the user's name, or number")
    return user


def _strangers(user: str | int) -> dict[str, str | int]:
    """Users that there are not."""
    if isinstance(user, str):
        return {
            "mallory": "mallory",
            "a letter more": f"{user}x",
            "a letter fewer": user[:-1] or "x",
        }
    return {"far away": user + 1_000_003, "below zero": -1 - abs(user)}


@check("JWT-33", must, "RFC 8725 §3.8; ASVS 7.4.2")
def test_an_unknown_user_is_refused(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded, minted: Minted
) -> None:
    """Someone else, and the user's name with a letter more and one fewer; of users with numbers,
    numbers that nobody has.

    Usual cause: whoever is signed is let in; a user who was deleted stays in until ``exp``.
    """
    name = profile.token.user_claim
    strangers = _strangers(_user(issued, profile))
    variants = {told: minted({name: user}) for told, user in strangers.items()}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "no such user", status=profile.bad_token)


@check("JWT-34", must, "OpenMV docs 10.9")
def test_an_empty_user_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """Usual cause: microdot lets in whoever is ``not None``, also ``""``."""
    name = profile.token.user_claim
    variants = {'""': minted({name: ""}), "null": minted({name: None})}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "a token names its user", status=profile.bad_token)


@check("JWT-35", must, "RFC 7519 §7.2")
def test_claims_that_are_no_object_are_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """Usual cause: ``'exp' in claims``, which a text and a list answer, too; then a 500."""
    payloads = (b"[]", b"5", b'"exp"', b"null", b"true", b'["exp","sub"]')
    variants = {payload.decode(): minted(raw_payload=payload) for payload in payloads}
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "claims are a JSON object", status=profile.bad_token)


@check("JWT-36", must, "RFC 7519 §4.1.3; ASVS 9.2.3")
def test_a_token_for_another_service_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """Who does not find itself in ``aud`` must refuse.

    Usual cause: ``aud`` is not looked at.
    """
    other = "https://other.example"
    variants = {
        "one": minted({"aud": other}),
        "two, in a list": minted({"aud": [other, "https://third.example"]}),
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "aud is someone else", status=profile.bad_token)


@check("JWT-37", should, "RFC 8725 §3.8")
def test_a_token_of_another_issuer_is_refused(
    api: Api, raw: RawClient, profile: Profile, minted: Minted
) -> None:
    """Usual cause: ``iss`` is not looked at."""
    answer = raw.send(api.compose_resource(token=minted({"iss": "https://other.example"})))
    verdict.refused(answer, "iss is someone else", status=profile.bad_token)


@check("JWT-38", must, "RFC 7519 §4")
def test_of_a_claim_given_twice_the_last_counts(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded, minted: Minted
) -> None:
    """Or the token is refused; what must not be is that the first counts.

    Usual cause: a parser that keeps the first one, where the issuer's keeps the last.
    """
    stranger = next(iter(_strangers(_user(issued, profile)).values()))
    yesterday = profile.date(round(time.time()) - DAY)
    bad = {profile.token.user_claim: stranger, "exp": yesterday}
    variants: dict[str, dict[str, SecretStr]] = {"bad": {}, "good": {}}
    for name, value in bad.items():
        if name not in issued.claims:
            continue
        rest = {other: data for other, data in issued.claims.items() if other != name}
        good = issued.claims[name]
        for last, pair in {"bad": (good, value), "good": (value, good)}.items():
            members = [f'"{name}":{json.dumps(one)}' for one in pair]
            if rest:
                members.insert(1, json.dumps(rest)[1:-1])
            payload = f"{{{','.join(members)}}}".encode()
            variants[last][f"{name}, a {last} one last"] = minted(raw_payload=payload)
    refused = use_all(api, raw, variants["bad"])
    verdict.refused_all(refused, "the last one counts, or none", status=profile.bad_token)
    either = use_all(api, raw, variants["good"])
    verdict.refused_all(either, "accepted or refused", status=profile.bad_token | {200})


@check("JWT-39", should, "RFC 8259")
def test_claims_that_are_nearly_json_are_refused(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded, minted: Minted
) -> None:
    """Without commas, and with a NUL after them; signed as they are.

    Usual cause: MicroPython's ``json``, which needs no commas and stops where it likes.
    """
    sound = tokens.json_bytes(issued.claims)
    spaced = json.dumps(issued.claims, separators=(" ", ":")).encode()
    variants = {
        "no commas": minted(raw_payload=spaced),
        "NUL": minted(raw_payload=sound + b"\0"),
        "NUL, and more": minted(raw_payload=sound + b'\0{"sub":"mallory"}'),
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "claims are JSON", status=profile.bad_token)


@check("JWT-40", must, "RFC 9110 §5.5")
def test_a_user_with_a_line_end_injects_no_header(
    api: Api, raw: RawClient, profile: Profile, issued: tokens.Decoded, minted: Minted
) -> None:
    """Whatever the status: the answer is HTTP, without the field that the user brings along.

    Usual cause: the user's name in a header field of the answer, as it is.
    """
    claim = profile.token.user_claim
    user = issued.claims.get(claim)
    ends = {"CRLF": "\r\n", "LF": "\n", "CR": "\r"}
    variants = {
        name: minted({claim: f"{user}{end}X-Hil-Injected: 1"}) for name, end in ends.items()
    }
    for name, answer in use_all(api, raw, variants).items():
        if answer.status is None:
            verdict.broken("a user's name breaks no answer", answer, f"{name}: no sound answer")
        if answer.header("X-Hil-Injected") is not None:
            verdict.broken("a user's name is no header", answer, f"{name}: a field of the token's")


@check("JWT-41", must, "RFC 8725 §3.12")
def test_a_token_of_another_kind_is_refused(
    api: Api,
    raw: RawClient,
    profile: Profile,
    issued: tokens.Decoded,
    mint: MintControl,
    minted: Minted,
) -> None:
    """A session cookie, and tokens for refreshing, mail and a new password, under the same key and
    with a sound end: they name a user, but none to be let in here.

    Usual cause: one key for all, and whatever it has signed is let in.
    """
    user, end = issued.claims.get(profile.token.user_claim), {"exp": issued.claims.get("exp")}
    kinds: dict[str, dict[str, Any]] = {
        "a session, microdot's": {"_user_id": user, "_fresh": True},
        "a session, by hand": {"user": user, "logged_in": True},
        "a session, empty": {},
        "refresh": {"user_id": user, "type": "refresh", "refresh_claim": {"refresh": True}},
        "confirmation by mail": {"user_id": user, "email_claim": {"email": True}},
        "a new password": {"user_id": user, "password_claim": {"reset": True}},
        "an identity": {"name": user, "username": user, "email": "owner@example.org"},
    }
    variants = {
        name: mint(only={**claims, **end}, alg=algorithm(issued)) for name, claims in kinds.items()
    }
    answers = use_all(api, raw, variants)
    verdict.refused_all(answers, "not a token for this", status=profile.bad_token)


@check("JWT-42", should, "RFC 7518 §3.2 (MUST be constant-time); ASVS 11.2.4")
@pytest.mark.timeout(timing.TIMEOUT_S)
def test_a_refusal_takes_as_long_wherever_the_signature_is_wrong(
    api: Api, profile: Profile, token: SecretStr, same_time: SameTime
) -> None:
    """A signature that is wrong in its first byte, and one in its last, in 400 timed pairs.

    A finding is a difference that shows in two batches of them, of which a plain one ends at a
    quarter or half; the report tells what this link could resolve.

    Usual cause: ``==``, or a loop that ends at the first byte that differs.
    """
    signed, _, segment = (SecretStr(part) for part in token.rpartition("."))
    mac = SecretBytes(tokens.decode_segment(segment))
    last = SecretStr(tokens.encode_segment(mac[:-1] + bytes([mac[-1] ^ 0x01])))
    same_time(
        {
            "wrong in the last byte": api.compose_resource(token=f"{signed}.{last}"),
            "wrong in the first byte": api.compose_resource(token=tokens.forge(token)),
        },
        "the time of a refusal does not tell how much of a signature is right",
        status=profile.bad_token,
        # 400 resolve 10 us on an idle embedded board, where a loop that ends early makes 2.3 us:
        # that takes more than 7 000.
        pairs=400,
        least=timing.LEAST_LOCAL_S,
    )
