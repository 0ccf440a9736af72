"""Public keys that a target shows: found in what openssl makes, in each form that is tried."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.auth import public_keys, rsa, tokens


def openssl(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def certificate(
    tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str, str], Path]
) -> tuple[bytes, bytes]:
    """A certificate and, from openssl, its public key; both in PEM."""
    require_program("openssl", "openssl")
    folder = tmp_path_factory.mktemp("tls")
    new = ("-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-subj", "/CN=porch")
    pem = openssl(folder, "req", "-x509", *new, "-days", "2")
    return pem, openssl(folder, "pkey", "-in", "key.pem", "-pubout")


def test_a_certificate_gives_its_key(certificate: tuple[bytes, bytes]) -> None:
    pem, public = certificate
    keys = public_keys.of_pem(pem.decode())
    assert keys["PEM"] == pem
    assert keys["PEM without line end"] == pem.rstrip(b"\n")
    assert keys["DER"] == ssl.PEM_cert_to_DER_cert(pem.decode())
    assert keys["the certificate's key, PEM"] == public
    assert keys["the certificate's key, PEM without line end"] == public.rstrip(b"\n")


def test_an_rsa_jwk_gives_its_key(certificate: tuple[bytes, bytes], tmp_path: Path) -> None:
    pem, public = certificate
    (tmp_path / "cert.pem").write_bytes(pem)
    shown = openssl(tmp_path, "x509", "-in", "cert.pem", "-noout", "-modulus").decode()
    modulus = bytes.fromhex(shown.strip().partition("=")[2])
    jwk = {"kty": "RSA", "n": tokens.encode_segment(modulus), "e": "AQAB"}
    assert public_keys.of_jwk(jwk)["RSA, PEM"] == public


def test_a_document_may_hold_pem_or_jwks(certificate: tuple[bytes, bytes]) -> None:
    pem, public = certificate
    assert public in public_keys.shown_in(b"our key:\n" + public + b"bye").values()
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem.decode())).decode()
    jwks = {"keys": [{"kty": "RSA", "x5c": [der], **rsa.public_jwk()}]}
    keys = public_keys.shown_in(json.dumps(jwks).encode())
    assert keys["key 1, the certificate's key, PEM"] == public
    assert "key 1, RSA, PEM" in keys
    assert keys["key 1, JWK as Python writes it"] == json.dumps(jwks["keys"][0]).encode()


def test_a_symmetric_key_that_is_shown_is_the_secret() -> None:
    jwk = {"kty": "oct", "k": tokens.encode_segment(b"x" * 32)}
    assert b"x" * 32 in public_keys.shown_in(json.dumps([jwk]).encode()).values()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"404 Not found",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": [5, null, {"kid": "1"}]}',
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----",
    ],
)
def test_what_shows_no_key_gives_none(document: bytes) -> None:
    assert public_keys.shown_in(document) == {}


@pytest.mark.parametrize("jwk", [{"kty": "RSA"}, {"kty": 5}, {"kty": "RSA", "n": 1, "e": []}])
def test_a_strange_jwk_is_its_text(jwk: dict[str, object]) -> None:
    found = public_keys.shown_in(json.dumps({"keys": [jwk]}).encode())
    assert list(found) == ["key 1, JWK", "key 1, JWK as Python writes it"]


@given(st.binary(max_size=200))
def test_garbage_raises_nothing(document: bytes) -> None:
    framed = base64.encodebytes(document)
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    public_keys.shown_in(document)
    public_keys.shown_in(begin + framed + end)
