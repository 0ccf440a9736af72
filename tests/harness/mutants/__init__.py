"""The reference firmware with one realistic mistake each, and what must notice it."""

from __future__ import annotations

from .api_keys import API_KEYS
from .basic import BASIC
from .clock import CLOCK
from .device import DEVICE
from .http import HTTP
from .logout import LOGOUT
from .mutant import Mutant
from .refresh import REFRESH
from .roles import ROLES
from .routes import ROUTES
from .secret import SECRET
from .settings import SETTINGS
from .token import TOKEN

SUBJECTS: dict[str, tuple[Mutant, ...]] = {
    "token": TOKEN,
    "routes": ROUTES,
    "secret": SECRET,
    "basic": BASIC,
    "http": HTTP,
    "clock and settings": CLOCK + SETTINGS,
    "log-ins": REFRESH + LOGOUT,
    "who, and what they may": API_KEYS + ROLES + DEVICE,
}
MUTANTS = tuple(mutant for subject in SUBJECTS.values() for mutant in subject)
