"""The directive ``{generated} NAME``: a part of a reference page, made of the code at build time.

What a page shows so is never committed, and cannot be older than the code. Each maker is a function
without arguments that returns Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import generate_bench
import generate_checks
import generate_command
import generate_evidence
import generate_fixtures
import generate_profile
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MAKERS: dict[str, Callable[[], str]] = {
    "command": generate_command.command,
    "pytest-options": generate_command.pytest_options,
    "devices": generate_bench.devices,
    "models": generate_bench.models,
    "profile": generate_profile.profile,
    "fixtures": generate_fixtures.fixtures,
    "checks": generate_checks.checks,
    "requirements": generate_checks.requirements,
    "evidence": generate_evidence.evidence,
}


class Generated(SphinxDirective):
    """The Markdown of one maker, as if it stood in the page."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        maker = MAKERS.get(self.arguments[0])
        if maker is None:
            raise self.error(f"nothing makes {self.arguments[0]!r}: {', '.join(MAKERS)}")
        return self.parse_text_to_nodes(maker(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
