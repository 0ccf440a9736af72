"""The reference firmware with one realistic mistake each, and what must notice it."""

from __future__ import annotations

from .basic import BASIC
from .clock import CLOCK
from .http import HTTP
from .mutant import Mutant
from .routes import ROUTES
from .secret import SECRET
from .settings import SETTINGS
from .token import TOKEN

SUBJECTS: dict[str, tuple[Mutant, ...]] = {
    "token": TOKEN,
    "routes": ROUTES,
    "secret": SECRET,
    "clock": CLOCK,
    "basic": BASIC,
    "http": HTTP,
    "settings": SETTINGS,
}
MUTANTS = tuple(mutant for subject in SUBJECTS.values() for mutant in subject)
