"""Formats that Pillow reads with a plugin (requirements-formats.txt): HEIC of phones, and JPEG XL."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

OPTIONAL = {"HEIF": ("pillow_heif", (".heic", ".heif", ".hif")), "JXL": ("pillow_jxl", (".jxl",))}
"""By Pillow's name of the format: the module that is needed, and the suffixes."""

REQUIREMENTS = "requirements-formats.txt"


def missing_plugin(name: str) -> str:
    """What to do to read a file of this name, "" where its suffix wants no plugin that is not here."""
    for format, (_, suffixes) in OPTIONAL.items():
        if format not in readable() and name.lower().endswith(suffixes):
            return f"{format} is read with a plugin: `pip install -r {REQUIREMENTS}`"
    return ""


@cache
def readable() -> dict[str, tuple[str, ...]]:
    """Those of `OPTIONAL` whose plugin is installed, by name, with their suffixes; Pillow is told of the plugins."""
    found: dict[str, tuple[str, ...]] = {}
    for format, (module, suffixes) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            continue
        plugin = importlib.import_module(module)  # pillow_jxl tells Pillow by itself
        if hasattr(plugin, "register_heif_opener"):
            plugin.register_heif_opener(thumbnails=False)
        found[format] = suffixes
    return found
