"""A whole page of HTML: what is around every one of them, and where their templates are."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


@functools.cache
def environment() -> jinja2.Environment:
    """Where templates are and what they may call; everything is escaped."""
    import jinja2
    from markupsafe import Markup

    from tinymia.report.svg import key

    def mark(css: str, shape: str) -> Markup:
        return Markup(key(css, shape))

    def upfirst(text: str) -> str:
        return text[:1].upper() + text[1:]

    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("tinymia.report", "templates"),
                jinja2.PackageLoader("tinymia.report", "sections"),
            ]
        ),
    )
    made.globals["mark"] = mark
    made.filters["upfirst"] = upfirst
    return made


def whole_page(template: str | jinja2.Template, view: dict[str, Any]) -> str:
    """The text of a page.

    Args:
        template: one that extends ``frame.html.j2``, or its name.
        view: what it shows.
    """
    from markupsafe import Markup

    style = resources.files("tinymia.report") / "templates" / "style.css"
    page = (
        environment()
        .get_template(template)
        .render(css=Markup(style.read_text(encoding="utf-8")), **view)
    )
    # A percent sign stays on the line of its number.
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", page)
