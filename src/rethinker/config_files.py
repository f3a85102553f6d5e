"""From files and overrides to a `Config`: defaults, then YAML files left to right, then dotted `key=value` overrides.

A layer that changes a section's `kind` replaces the section: what was set for another kind does not carry over. All
overrides together are one layer, so their order does not matter; their values are YAML, but for text, which is taken as
it stands. Unknown keys are refused before values are looked at.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError

from rethinker.config import Config
from rethinker.config_section import Section
from rethinker.errors import ConfigError
from rethinker.plain_yaml import PlainLoader, plain_yaml
from rethinker.redaction import redacted
from rethinker.trees import leaves

Tree = dict[str, Any]
"""A configuration as YAML holds it: sections are mappings, keyed by field."""

Root = TypeVar("Root", bound=Section)

Keys = tuple[str, ...]
"""Where a key stands: ("learner", "lr")."""

DEEPEST = 16
"""Sections within sections that an override may name; there are fewer."""

Variants = tuple[type[Section], ...]
"""The classes that can stand in one place, told apart by `kind`."""


def load(files: Sequence[Path], overrides: Sequence[str] = (), last: Sequence[str] = ()) -> Config:
    """Resolve a run's configuration; `run.recipe` becomes the first file's stem unless set (see `load_as`)."""
    return load_as(Config, files, overrides, last, defaults={"run": {"recipe": Path(files[0]).stem}} if files else {})


def living_in(folder: Path, config: Config) -> Config:
    """The same run, in another folder."""
    return config.model_copy(update={"run": config.run.model_copy(update={"dir": str(folder)})})


def load_as(
    root: type[Root],
    files: Sequence[Path],
    overrides: Sequence[str] = (),
    last: Sequence[str] = (),
    *,
    defaults: Tree | None = None,
) -> Root:
    """Resolve a configuration.

    Args:
        root: The tree to resolve: a run's or the warm start's.
        files: YAML files, each laid over those before it.
        overrides: `section.key=value`.
        last: More of them, a layer over the others.
        defaults: A layer beneath the files.

    Raises:
        ConfigError: a file or an override cannot be read, a key is unknown, or a value or combination does not fit.
    """
    tree = root().model_dump(mode="json")
    layers = [("the defaults", defaults or {})]
    layers += [(str(file), read_yaml(Path(file))) for file in files]
    layers += [("the command line", _override_layer(group, root)) for group in (overrides, last)]
    for origin, layer in layers:
        try:
            tree = _lay_over(tree, layer, root)
        except _UnknownKey as unknown:
            raise ConfigError(f"{origin}: {_name_nearest(unknown, root)}") from None
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from None
    _refuse_secrets(tree)
    try:
        return root.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, root)) from None


def to_yaml(config: Config) -> str:
    """The whole resolved tree; `load` of it gives an equal configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def diff(a: Config, b: Config) -> dict[str, tuple[Any, Any]]:
    """Where two configurations differ: dotted key → (value in a, value in b), None where one has no such key."""
    left, right = (leaves(config.model_dump(mode="json")) for config in (a, b))
    keys = [*left, *(key for key in right if key not in left)]
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


# ---- layers ------------------------------------------------------------------------------------------------------


class _UniqueKeyLoader(PlainLoader):
    """Safe loader that refuses a key written twice, of which plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is not text", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(file: Path) -> Tree:
    """One file as a layer; an empty file is an empty layer.

    Raises:
        ConfigError: missing, unreadable, not YAML, a key twice, or not a mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"configuration file {file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration file {file} is not UTF-8 text: {error.reason}") from error
    tree = _parse_yaml(text, str(file))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} must hold sections (`learner:` …), got {_show(tree)}")
    return tree


def _parse_yaml(text: str, origin: str) -> Any:
    try:
        return plain_yaml(text, _UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{origin}{place}: {error.problem or 'not valid YAML'}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from None


def _override_layer(overrides: Sequence[str], root: type[Section]) -> Tree:
    layer: Tree = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts) or len(parts) > DEEPEST:
            raise ConfigError(f"override {override!r} is not of the form section.key=value")
        value: Any = text if _is_text(root, parts) else _parse_yaml(text, f"override {override!r}")
        for part in reversed(parts):
            value = {part: value}
        layer = _merge(layer, value)
    return layer


def _is_text(section: type[Section], parts: Sequence[str]) -> bool:
    """Whether a key holds text, in a variant that has it."""
    field = section.model_fields.get(parts[0])
    if field is None or len(parts) == 1:
        return field is not None and field.annotation is str
    return any(_is_text(inner, parts[1:]) for inner in _sections(field.annotation))


def _refuse_secrets(tree: Tree) -> None:
    """Settings are written to the run's folder, and told to trackers: nothing secret may be among them.

    Raises:
        ConfigError: one has a password in an address, or is what a variable of the environment keeps.
    """
    for name, value in leaves(tree).items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, str) and redacted(each) != each:
                raise ConfigError(
                    f"{name}={redacted(each)} holds a password or token (shown as ***), and settings are kept in the "
                    "run folder; give it by the environment, which is not"
                )


def _merge(base: Tree, layer: Tree) -> Tree:
    merged = dict(base)
    for key, value in layer.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


class _UnknownKey(Exception):  # noqa: N818 (not an error yet: what to say depends on the whole tree)
    """A key that its section does not have."""

    def __init__(self, path: Keys, section: type[Section], variants: Variants = ()) -> None:
        super().__init__(path)
        self.path, self.section, self.variants = path, section, variants


# ---- laying one over the other -----------------------------------------------------------------------------------


def _lay_over(tree: Tree, layer: Tree, section: type[Section], path: Keys = (), variants: Variants = ()) -> Tree:
    """Lay a layer over a section's whole tree; `variants` are the classes that could stand in the section's place."""
    laid = dict(tree)
    for key, value in layer.items():
        here = (*path, key)
        if key not in section.model_fields:
            raise _UnknownKey(here, section, variants)
        inner, old = _sections(section.model_fields[key].annotation), tree.get(key)
        if isinstance(old, dict) and value is not None:
            laid[key] = _lay_over_section(old, value, inner, here)
        elif not isinstance(old, dict):
            _check_value(value, inner, here)
            laid[key] = value
    return laid


def _lay_over_section(tree: Tree, layer: Any, variants: Variants, path: Keys) -> Tree:
    if not isinstance(layer, dict):
        raise ConfigError(f"{_dotted(path)} is a section with the keys {', '.join(tree)}; got {_show(layer)}")
    kind = layer.get("kind", tree.get("kind"))
    section = _variant(variants, kind, path)
    if kind != tree.get("kind") and len(variants) > 1:
        tree = section.model_construct().model_dump(mode="json")  # a required field is simply not there yet
    return _lay_over(tree, layer, section, path, variants)


def _check_value(value: Any, entries: Variants, path: Keys) -> None:
    """Refuse keys where there is a single value, and unknown keys in a list of sections."""
    if isinstance(value, dict):
        raise ConfigError(f"{_dotted(path)} is no section; it has no key {next(iter(value), '')!r}")
    for index, entry in enumerate(value if isinstance(value, list) and entries else []):
        for key in entry if isinstance(entry, dict) else ():
            if key not in entries[0].model_fields:
                raise _UnknownKey((*path[:-1], f"{path[-1]}[{index}]", key), entries[0])


def _sections(annotation: Any) -> Variants:
    """The section classes a field can hold: itself, a union's variants, or a tuple's members."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,)
    return tuple(found for argument in get_args(annotation) for found in _sections(argument))


def _variant(variants: Variants, kind: Any, path: Keys) -> type[Section]:
    """The class that `kind` names; a section of a single class checks its kind itself."""
    if len(variants) == 1:
        return variants[0]
    by_kind = {_kind(variant): variant for variant in variants}
    if not isinstance(kind, str) or kind not in by_kind:
        raise ConfigError(f"{_dotted(path)}.kind: got {_show(kind)}, expected one of {', '.join(by_kind)}")
    return by_kind[kind]


def _kind(variant: type[Section]) -> str:
    return str(variant.model_fields["kind"].default)


# ---- what to say -------------------------------------------------------------------------------------------------


def _name_nearest(unknown: _UnknownKey, root: type[Section]) -> str:
    """Name an unknown key and the nearest known one: in another variant, in its section, or elsewhere in the tree."""
    path, section, variants = unknown.path, unknown.section, unknown.variants
    name, prefix = path[-1], _dotted((*path[:-1], ""))
    message = f"unknown key {_dotted(path)}"
    owners = [_kind(variant) for variant in variants if name in variant.model_fields]
    if owners:
        return f"{message} with {prefix}kind={_kind(section)}; it belongs to {prefix}kind={' or '.join(owners)}"
    near = [prefix + field for field in difflib.get_close_matches(name, section.model_fields, n=1)]
    if not near:
        everywhere = sorted(set(_known_keys(root)) - {_dotted(path[:depth]) for depth in range(len(path))})
        near = [key for key in everywhere if key.rpartition(".")[2] == name]
        # Beside it none is near: only the section's name would be.
        elsewhere = [key for key in everywhere if key.rpartition(".")[0] != _dotted(path[:-1])]
        near = near or difflib.get_close_matches(_dotted(path), elsewhere, n=1)
    if near:
        return f"{message}; did you mean {' or '.join(near)}?"
    return f"{message}; known here: {', '.join(prefix + field for field in section.model_fields)}"


def _known_keys(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Every dotted key, of all variants."""
    for name, field in section.model_fields.items():
        yield prefix + name
        if get_origin(field.annotation) is not tuple:
            for inner in _sections(field.annotation):
                yield from _known_keys(inner, f"{prefix}{name}.")


def _explain(error: ValidationError, root: type[Section]) -> str:
    """One line per wrong value: dotted key, the value, what was expected."""
    lines = []
    for problem in error.errors(include_url=False):
        path, message = _plain_path(problem["loc"], root), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "value_error":
            lines.append(message)  # our own validators name their keys themselves
        elif problem["type"] == "missing":
            lines.append(f"{path} is missing and has no default; set it")
        else:
            expected = message.removeprefix("Input should be ")
            hint = "; put it in quotes" if problem["type"] == "string_type" else ""
            lines.append(f"{path}: got {_show(problem['input'])}, expected {expected}{hint}")
    return "\n".join(lines)


def _plain_path(location: tuple[str | int, ...], root: type[Section]) -> str:
    """Pydantic's location as a dotted key: without the variant's tag that follows a union's name."""
    text, here, tagged = "", root, False
    inner: Variants = ()
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif tagged:
            here, tagged = next(variant for variant in inner if _kind(variant) == part), False
        else:
            text += f".{part}"
            field = here.model_fields.get(part)
            inner = _sections(field.annotation) if field else ()
            tagged = field is not None and field.discriminator is not None
            here = inner[0] if inner else here
    return text.removeprefix(".")


def _dotted(path: Keys) -> str:
    return ".".join(path)


def _show(value: Any) -> str:
    text = redacted(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."
