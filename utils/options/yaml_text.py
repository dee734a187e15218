"""YAML as options are written in it: the core schema of YAML 1.2 (section 10.3), plain data, the line of each value.

`1e-4` is a number and `010` is ten; `no`, `on` and dates are text. There are no tags of other types, no merge keys and
no keys that are not plain text, and what a text can cost is bounded: it may come from a checkpoint of somebody else.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from utils.errors import OptionsError

MAX_NODES = 100_000  # of one text, aliases expanded: far above any real file, far below a "billion laughs"
MAX_BYTES = 1 << 20
MAX_DIGITS = 1000  # of a whole number before it is read; Python takes seconds, or refuses, beyond some thousands
MAX_WHOLE = 2**63 - 1  # what lengths, seeds and floats are computed with

KeyPath = tuple[str | int, ...]
Origins = dict[KeyPath, str]  # path of keys -> "file:line"

_TAG = "tag:yaml.org,2002:"
# Type, what a scalar of it looks like, and the characters that it begins with.
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_PATTERNS = {kind: re.compile(rf"^(?:{pattern})\Z") for kind, (pattern, _) in _SCALARS.items()}
_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Finds out types as YAML 1.2 does; only its nodes are used, it constructs nothing."""


class _Dumper(yaml.SafeDumper):
    """Puts quotes around texts that YAML 1.2, or 1.1 as other programs read it, would take for something else."""


def _text_node(dumper: _Dumper, text: str) -> yaml.Node:
    # Line ends other than \n are written as they are between single quotes, and read as spaces.
    return dumper.represent_scalar(f"{_TAG}str", text, style='"' if _LINE_ENDS.search(text) else None)


_Dumper.add_representer(str, _text_node)
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _kind, (_, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _kind, _PATTERNS[_kind], list(_first))
for _first, _resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items():
    _Dumper.yaml_implicit_resolvers.setdefault(_first, []).extend(_resolvers)


def parse(text: str, where: str) -> tuple[dict[str, Any], Origins]:
    """A text of `key: value` lines as plain data, and the line of every value.

    Args:
        where: names the text in errors.

    Raises:
        OptionsError: not YAML, not such lines, or beyond the bounds above.
    """
    if not isinstance(text, str):
        raise OptionsError(f"{where}: expected text, got {type(text).__name__}")
    if len(text) > MAX_BYTES:
        raise OptionsError(f"{where}: more than {MAX_BYTES >> 20} MiB; not an options file")
    origins: Origins = {}
    node = _composed(text, where)
    try:
        data = {} if node is None else _build(node, (), where, origins, [])
    except RecursionError:
        raise OptionsError(f"{where}: nested too deeply; not an options file") from None
    if not isinstance(data, dict):
        raise OptionsError(f"{where}: expected 'key: value' lines at the top, got {type(data).__name__}")
    return data, origins


def parse_value(text: str, where: str) -> Any:
    """A value as it is typed on a command line: a list, section or quoted text as YAML, anything else as it stands.

    So a path may hold ` #`, `: ` and whatever else has a meaning in a YAML file.

    Raises:
        OptionsError: a list, section or quotation that is not valid, or does not end where the text ends.
    """
    typed = text.strip()
    if typed[:1] not in ("[", "{", '"', "'"):
        kind = next((kind for kind, pattern in _PATTERNS.items() if pattern.match(typed)), None)
        return _converted(kind, typed, where) if kind else checked(text, where)
    node = _composed(typed, where)
    assert node is not None  # what begins with one of these is a value, or refused
    quoted = isinstance(node, yaml.ScalarNode)
    if typed[node.end_mark.index :].strip() or quoted != (typed[0] in "\"'"):
        raise OptionsError(f"{where}: {typed!r} goes on behind the end of its value; put quotes around all of it")
    try:
        return _build(node, (), where, {}, [])
    except RecursionError:
        raise OptionsError(f"{where}: nested too deeply") from None


def to_text(data: dict[str, Any]) -> str:
    """Plain data as YAML that `parse` reads back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def dotted(path: KeyPath) -> str:
    """('stages', 0, 'lr') -> 'stages.0.lr'."""
    return ".".join(str(part) for part in path) or "top level"


def _composed(text: str, where: str) -> yaml.Node | None:
    try:
        return _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise OptionsError(f"{where}{line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise OptionsError(f"{where}: nested too deeply; not an options file") from None
    except ValueError as error:  # escapes of characters that there are not
        raise OptionsError(f"{where}: not valid YAML: {error}") from None


def _build(node: yaml.Node, path: KeyPath, where: str, origins: Origins, count: list[None]) -> Any:
    """A YAML node as plain data; duplicate keys, odd keys and tags are refused."""
    here = f"{where}:{node.start_mark.line + 1}"
    count.append(None)
    if len(count) > MAX_NODES:
        raise OptionsError(f"{here}: more than {MAX_NODES} values (aliases counted); not an options file")
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = f"{where}:{key_node.start_mark.line + 1}"
            text = isinstance(key_node, yaml.ScalarNode) and key_node.tag == f"{_TAG}str"
            # Only a scalar's value is shown: another key can be as long as it likes.
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else f"({key_node.id})"
            if not text or key == "<<":
                raise OptionsError(f"{line}: {dotted((*path, key))}: keys are plain text; use 'base:' to inherit")
            if key in result:
                raise OptionsError(f"{line}: {dotted((*path, key))}: this key stands here twice; keep one")
            origins[(*path, checked(key, line))] = line
            result[key] = _build(value_node, (*path, key), where, origins, count)
        return result
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        items = []
        for index, item in enumerate(node.value):
            origins[(*path, index)] = f"{where}:{item.start_mark.line + 1}"
            items.append(_build(item, (*path, index), where, origins, count))
        return items
    here = f"{here}: {dotted(path)}" if path else here
    if isinstance(node, yaml.ScalarNode) and kind == "str":
        return checked(node.value, here)
    if isinstance(node, yaml.ScalarNode) and kind in _PATTERNS and _PATTERNS[kind].match(node.value):
        return _converted(kind, node.value, here)
    raise OptionsError(f"{here}: the tag {node.tag.replace(_TAG, '!!')} is not for this value; leave tags out")


def _converted(kind: str, text: str, here: str) -> Any:
    """A scalar that fits its type's pattern, as that type."""
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if len(text) > MAX_DIGITS or abs(number := int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))) > MAX_WHOLE:
        raise OptionsError(f"{here}: a whole number of more than 64 bits; put it in quotes if it is text")
    return number


def checked(text: str, here: str) -> str:
    """`text`, if it can be a name or a path in options.

    Raises:
        OptionsError: it cannot.
    """
    if found := _NOT_TEXT.search(text):
        code = ord(found[0])
        if 0xDC80 <= code <= 0xDCFF:  # as Python holds a byte of a name that is not UTF-8
            raise OptionsError(f"{here}: holds the byte {code - 0xDC00:#x}, which is not UTF-8; rename it")
        raise OptionsError(f"{here}: holds the character U+{code:04X}, which no text or path can hold")
    return text
