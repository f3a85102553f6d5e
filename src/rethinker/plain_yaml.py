"""YAML of anybody's, read within bounds: plain values, no bomb of aliases, and one kind of error."""

from __future__ import annotations

from typing import Any

import yaml

MOST_CHARACTERS = 10_000_000
"""Of a document whose aliases are written out; a few lines of aliases of aliases can stand for billions."""

LONGEST_INTEGER = 100
"""Characters; what Python cannot print again is no number anybody means."""

DEEPEST = 100
"""Sections within sections; what reads them must not run out of stack, nor of time."""

_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML's constructors raise for values that are not of the type their tag names."""


class PlainLoader(yaml.SafeLoader):
    """The safe loader, within bounds."""

    def get_single_node(self) -> yaml.Node | None:
        """The document, once its size is known."""
        node = super().get_single_node()
        if node is not None and _characters(node, {}) > MOST_CHARACTERS:
            raise yaml.MarkedYAMLError(
                problem=f"its aliases stand for more than {MOST_CHARACTERS:,} characters", problem_mark=node.start_mark
            )
        return node

    def fetch_flow_collection_start(self, token_class: type[yaml.Token]) -> None:
        """One more within brackets."""
        self._bound(self.flow_level)
        super().fetch_flow_collection_start(token_class)

    def add_indent(self, column: int) -> bool:
        """One more by indentation."""
        self._bound(len(self.indents))
        return super().add_indent(column)

    def _bound(self, depth: int) -> None:
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {DEEPEST} sections within sections", problem_mark=self.get_mark()
            )

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number that can be printed."""
        if len(node.value) > LONGEST_INTEGER:
            raise yaml.MarkedYAMLError(
                problem=f"a number of {len(node.value)} digits is too long", problem_mark=node.start_mark
            )
        return super().construct_yaml_int(node)


PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)


def plain_yaml(text: str, loader: type[PlainLoader] = PlainLoader) -> Any:
    """The value of a YAML document.

    Raises:
        yaml.YAMLError: it is none, or not within bounds.
    """
    try:
        return yaml.load(text, Loader=loader)
    except _FAULTS as error:
        raise yaml.YAMLError(f"a value is not of the type it is given: {error!s:.200}") from error


def _characters(node: yaml.Node, known: dict[int, int]) -> int:
    """Of a node with its aliases written out.

    Raises:
        yaml.MarkedYAMLError: it holds itself.
    """
    if id(node) in known:
        if known[id(node)] < 0:
            raise yaml.MarkedYAMLError(problem="an alias stands for what holds it", problem_mark=node.start_mark)
        return known[id(node)]
    known[id(node)] = -1
    if isinstance(node, yaml.ScalarNode):
        size = len(node.value) + 1
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
        size = 1 + sum(_characters(each, known) for each in inner)
    known[id(node)] = size
    return size
