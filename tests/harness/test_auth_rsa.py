"""RS256 with nobody's key, checked by the definition: there is no RSA library here."""

from __future__ import annotations

import hashlib
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

from hil.auth import public_keys, rsa, tokens


def test_a_signature_opens_with_the_public_key() -> None:
    jwk = rsa.public_jwk()
    modulus = int.from_bytes(tokens.decode_segment(jwk["n"]), "big")
    exponent = int.from_bytes(tokens.decode_segment(jwk["e"]), "big")
    assert modulus.bit_length() > 2048
    signature = rsa.sign(b"a message")
    size = math.ceil(modulus.bit_length() / 8)
    assert len(signature) == size
    opened = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    padding, _, info = opened.partition(b"\x00\x30")
    assert padding == b"\x00\x01" + b"\xff" * (size - len(info) - 4)
    assert info.endswith(hashlib.sha256(b"a message").digest())


def test_openssl_accepts_it(tmp_path: Path, require_program: Callable[[str, str], Path]) -> None:
    require_program("openssl", "openssl")
    """The JWK, the key in PEM that is made of it, and the signature: all by somebody else."""
    keys = public_keys.of_jwk(rsa.public_jwk())
    (tmp_path / "key.pem").write_bytes(keys["RSA, PEM"])
    (tmp_path / "signature").write_bytes(rsa.sign(b"a message"))
    (tmp_path / "message").write_bytes(b"a message")
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature"]
    for message, code in (("message", 0), ("key.pem", 1)):
        ran = subprocess.run([*verify, message], cwd=tmp_path, capture_output=True, check=False)
        assert ran.returncode == code, ran.stdout + ran.stderr
