"""Where MATH-Vision's rule looks for the answer in a response, and what it takes off it before comparing."""

from __future__ import annotations

BOX = "oxed{"

FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")

_TYPOGRAPHY = (
    (" ", ""),
    ("\\,", ""),
    ("∞", "\\infty"),
    ("+\\infty", "\\infty"),
    ("\\\\", "\\"),
    ("\n", ""),
    ("\\text", ""),
    ("\\mbox", ""),
    ("bmatrix", "pmatrix"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("{m}^3", ""),
    ("m^3", ""),
    ("{units}", ""),
    ("units", ""),
    ("{km}", ""),
    ("km", ""),
)
"""First pass: (what, by what), in this order."""

_SIGNS = (
    ("\n", ""),
    ("\\!", ""),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("\\$", ""),
    ("$", ""),
)
"""Second pass, up to the unit."""

_WRAPPED = tuple((f"{opening}{letter}{closing}", letter) for opening, closing in ("()", "{}") for letter in "abcde")


def pick(response: str) -> str:
    """The part of a response that holds the answer."""
    text = response.strip()
    text = next((letter for letter in "ABCDE" if _is_letter(text, letter)), text)
    tail = text.split("is ")[-1].rstrip(".")
    if _is_number(tail):
        text = tail
    if BOX not in text:
        for flag in FLAGS:
            for spelled in (flag, flag.replace("the", "The")):
                text = _after(text, spelled)
    elif text.count(BOX) > 1:
        text = "\\boxed{" + text.split(BOX)[-1]
    return text


def cleaned(text: str) -> str:
    """The answer itself: what the box holds, else all of the text, after the last `=`, without typography and units."""
    text = text.lower().replace("{}", "")
    start = text.find(BOX)
    end = text.rfind("}", start + len(BOX)) if start >= 0 else -1
    if end >= 0:
        text = text[start + len(BOX) : end]
    closing, opening = text.find("}"), text.find("{")
    if closing >= 0 and (opening < 0 or closing < opening):
        text = text[:closing]
    text = text.split("=")[-1].split("\\approx")[-1]
    text = _without_units(_replaced(text, _TYPOGRAPHY))
    return _replaced(text, _WRAPPED).rstrip(".").lstrip(":").strip()


def _is_letter(text: str, letter: str) -> bool:
    """Whether a response ends in, or opens with, an option's letter."""
    return text.endswith((f" {letter}.", f" ({letter}).")) or text.startswith(
        (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _after(text: str, flag: str) -> str:
    """The sentence behind the last flag, on its line; all of the text, stripped, where there is none."""
    tail = text.split(flag)[-1].strip()
    return tail.split("\n")[0].split(". ")[0] if flag in text else tail


def _replaced(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for what, by in pairs:
        text = text.replace(what, by)
    return text


def _without_units(text: str) -> str:
    """The second pass, and fractions and roots in their full spelling."""
    text = _replaced(text, _SIGNS).split("\\text{ ")[0].replace("\\%", "")
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    parts = text.split("\\approx")
    if len(parts) == 2:
        text = parts[1]
    has_root = "sqrt" in text
    if has_root:
        text = "\\sqrt".join([text.split("\\sqrt")[0], *map(_braced_root, text.split("\\sqrt")[1:])])
    text = text.replace(" ", "")
    if has_root:
        text = _braced_fractions(text)
    return "\\frac{1}{2}" if text == "0.5" else _fraction(text)


def _braced_root(rest: str) -> str:
    """What follows a `\\sqrt`, its argument in braces."""
    return rest if not rest or rest[0] == "{" else f"{{{rest[0]}}}{rest[1:]}"


def _braced_fractions(text: str) -> str:
    """`\\frac12` as `\\frac{1}{2}`; all as it was where one of them has no two arguments."""
    head, *rests = text.split("\\frac")
    braced = [head]
    for rest in rests:
        if rest[:1] == "{":
            braced.append(rest)
        elif len(rest) < 2:
            return text
        else:
            second = rest[1:] if rest[1] == "{" else f"{{{rest[1]}}}{rest[2:]}"
            braced.append(f"{{{rest[0]}}}{second}")
    return "\\frac".join(braced)


def _fraction(text: str) -> str:
    """`3/4` of whole numbers as `\\frac{3}{4}`."""
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        above, below = int(parts[0]), int(parts[1])
    except ValueError:
        return text
    return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
