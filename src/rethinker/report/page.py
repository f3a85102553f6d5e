"""A document as one HTML file: scripts, style and data inside, and a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
"""Observable Plot on d3: SVG, so it follows light, dark and print; no eval; half of ECharts' bytes."""

CHARTS = ("charts.js", "flow.js", "health.js", "thinking.js", "compare.js", "outcome.js")
PAGE = ("dom.js", "response.js", "filters.js", "browser.js")

_PLOT_STYLE = """:where(.plot-d6a7b5) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.plot-d6a7b5 text),
:where(.plot-d6a7b5 tspan) {
  white-space: pre;
}"""
"""What Plot puts into each of its figures; allowed by its hash, as our own style is."""


def page(document: dict[str, Any], *, title: str, charts: bool = True, live: bool = False) -> str:
    """The page.

    Args:
        charts: Off for a page that only browses responses.
        live: Whether it may ask its own server for what is new.
    """
    scripts = [*(LIBRARIES if charts else ()), *PAGE, *(CHARTS if charts else ()), "main.js"]
    texts = [asset(name) for name in scripts]
    style = asset("style.css")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(texts, [style, _PLOT_STYLE], live=live)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header id="head"></header>
<main id="main" tabindex="-1"><noscript>This page needs JavaScript: all of it is inside this file.</noscript></main>
<script type="application/json" id="data">{_data(document)}</script>
{"".join(f"<script>{text}</script>" for text in texts)}
</body>
</html>
"""


def policy(scripts: Sequence[str], styles: Sequence[str], *, live: bool) -> str:
    """The content-security policy: what is in the file by its hash, images by their data, nothing else."""
    rules = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*rules, "connect-src 'self'"] if live else rules)


def _data(document: dict[str, Any]) -> str:
    """JSON in which nothing can end the script element that holds it."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode(errors="replace").decode()


@cache
def asset(name: str) -> str:
    """A script or style of the page."""
    text = (files("rethinker") / "assets" / "report" / name).read_text(encoding="utf-8")
    assert "</script" not in text.lower(), name
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
