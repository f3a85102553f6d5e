"""Write `docs/configuration.md` from the configuration's own classes: `python scripts/write_configuration_docs.py`.

A test compares the file with what this makes, so the two cannot drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from rethinker.config import Config, Section

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

Every key of a run. Written from `src/rethinker/config.py` by `scripts/write_configuration_docs.py`: edit the one, run
the other.

    rethinker train recipes/tiny.yaml mine.yaml learner.lr=1e-5 replay.kind=filter

Defaults come first, then the files from left to right, then the overrides. An unknown key is refused and the nearest
known one named. A layer that changes a section's `kind` replaces the section. An override's value is YAML, but for
text, which is taken as it stands; `~` in a path is the home folder. The resolved tree is written to the run folder as
`config.yaml`. *paper*, *code* (the authors' release) and *ours* say where a number comes from.
"""

Values = dict[str, Any]
"""A section's default values by field; a required field is not there."""


class Row(NamedTuple):
    """One key of the page."""

    key: str
    type: str
    default: str
    help: str


def document() -> str:
    """The whole page."""
    values = Config().model_dump(mode="json")
    lines = [INTRODUCTION, "## Top level", ""]
    lines += _table(
        _leaf(name, name, field, values) for name, field in Config.model_fields.items() if not within(field)
    )
    for name, field in Config.model_fields.items():
        if within(field):
            lines += ["", f"## {name}", "", *_chapter(name, within(field), values[name])]
    return "\n".join([*lines, ""])


def _chapter(name: str, variants: tuple[type[Section], ...], values: Values) -> list[str]:
    """One section of the tree: a table, or one table per variant."""
    if len(variants) == 1:
        return [one_line(variants[0].__doc__), "", *_table(walk(variants[0], f"{name}.", values))]
    kinds = ", ".join(f"`{_kind(variant)}`" for variant in variants)
    lines = [f"`{name}.kind` chooses one of {kinds}; the default is `{values['kind']}`."]
    for variant in variants:
        rows = [row for row in walk(variant, f"{name}.", defaults(variant)) if row.key != f"{name}.kind"]
        lines += ["", f"### {name}.kind = {_kind(variant)}", "", one_line(variant.__doc__)]
        lines += ["", *_table(rows)] if rows else []
    return lines


def walk(section: type[Section], prefix: str, values: Values) -> Iterator[Row]:
    """Rows of a section's keys, followed by those of the sections in it; an entry of a list is written `key[]`."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        if not within(field):
            yield _leaf(key, name, field, values)
            continue
        (inner,) = within(field)
        if get_origin(field.annotation) is tuple:
            yield _leaf(key, name, field, values)
            yield from walk(inner, f"{key}[].", defaults(inner))
        else:
            yield Row(key=key, type="section", default="", help=one_line(field.description))
            yield from walk(inner, f"{key}.", values[name])


def _leaf(key: str, name: str, field: FieldInfo, values: Values) -> Row:
    default = f"`{json.dumps(values[name], ensure_ascii=False)}`" if name in values else "required"
    return Row(
        key=key, type=type_of(field.annotation, field.metadata), default=default, help=one_line(field.description)
    )


def within(field: FieldInfo) -> tuple[type[Section], ...]:
    """The section classes a field can hold: itself, a union's variants, or a list's entries."""

    def found(annotation: Any) -> tuple[type[Section], ...]:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return (annotation,)
        return tuple(section for argument in get_args(annotation) for section in found(argument))

    return found(field.annotation)


def defaults(section: type[Section]) -> Values:
    """A section's values where nothing is set."""
    return section.model_construct().model_dump(mode="json")


def type_of(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """A type for people: its name and bounds, or its values."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if get_origin(annotation) is Annotated:
        return type_of(arguments[0], (bound for field in arguments[1:] for bound in field.metadata))
    if get_origin(annotation) is tuple and arguments[-1] is Ellipsis:
        return f"list of {type_of(arguments[0])}"
    if get_origin(annotation) is tuple:
        return f"[{'; '.join(type_of(argument) for argument in arguments)}]"
    if issubclass(annotation, Section):
        return "sections"
    return " ".join([annotation.__name__, *(_bound(constraint) for constraint in constraints)])


def _bound(constraint: Any) -> str:
    match constraint:
        case Ge(ge=least):
            return f"≥ {least:g}"
        case Gt(gt=beyond):
            return f"> {beyond:g}"
        case Le(le=most):
            return f"≤ {most:g}"
        case Lt(lt=below):
            return f"< {below:g}"
    raise TypeError(f"{constraint!r} is a bound that this page cannot show yet")


def one_line(text: str | None) -> str:
    """A docstring without its line breaks."""
    return " ".join((text or "").split())


def _kind(variant: type[Section]) -> str:
    return str(variant.model_fields["kind"].default)


def _table(rows: Iterable[Row]) -> list[str]:
    cells = ((f"`{row.key}`", row.type, row.default, row.help.replace("|", "\\|")) for row in rows)
    return ["| key | type | default | what it is |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in cells)]


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
