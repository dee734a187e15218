"""What holds for the options of every generator."""

import pytest

from models import GENERATORS


def whole_numbers(schema):
    """Every description of a whole number in a JSON schema."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and schema.get("type") == "integer":
        yield schema
    for part in parts:
        yield from whole_numbers(part)


@pytest.mark.parametrize("type_", GENERATORS)
def test_every_size_has_a_ceiling(type_):
    """A slip of the pen, or a hostile file, may not ask for all memory or a size that torch cannot count."""
    found = list(whole_numbers(GENERATORS[type_].Options.model_json_schema()))
    assert found and all({"maximum", "const", "enum"} & number.keys() for number in found)
