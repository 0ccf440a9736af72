"""The reference firmware with every feature on passes the checks of those features."""

from __future__ import annotations

import pytest
from check_run import run_checks, short_folder
from mutants.mutant import FeatureMutant

SKIPPED = {
    "DEV-12": "it sends nobody to an OpenID provider",
    "DEV-13": "likewise",
    "DEV-15": "likewise",
    "KEY-04": "it takes no key from the query",
    "KEY-05": "likewise",
    "KEY-06": "likewise",
    "REF-13": "its login is by JSON, and not by Basic credentials",
    "REV-05": "it keeps the list itself, and needs no other service",
    "REV-09": "it has a logout",
    "ROL-08": "its tokens name no issuer",
}
"""The checks that do not apply, each with the reason."""


@pytest.mark.timeout(300)
def test_the_camera_with_every_feature_on_passes_their_checks() -> None:
    """Those that the mutants of the features are shown to."""
    with short_folder() as folder:
        ran = run_checks(
            folder,
            f"kind: virtual\nmodel: openmv-n6\nprovision: true\nprofile: {FeatureMutant.profile}",
            "--strict",
            groups=FeatureMutant.groups,
            timeout=200,
        )
    assert ran.having("failure") | ran.having("error") == set(), ran.output
    assert ran.having("skipped") == SKIPPED.keys(), ran.output
    assert len(ran.having("passed")) >= 49, ran.output
