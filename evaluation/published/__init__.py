"""Published figures of papers and programs, as data for the columns beside ours.

Each figure is kept as printed, with its source, the convention and protocol of its measurement and, where needed, a
caveat. Our tables show it only if data set, scale, compression, convention and protocol agree. CISR-PSI's own tables
were not found, so its rows have no published column.
"""

from __future__ import annotations

from functools import cache

from evaluation.published import cisrnet, div2k, jpeg
from evaluation.published.cisrnet import ABLATIONS, COSTS, FINDINGS
from evaluation.published.div2k import SUBJECTIVE_QE
from evaluation.published.figure import Finding, Published, PublishedCost

PUBLISHED = (
    *cisrnet.table_1(),
    *cisrnet.ablations(),
    *div2k.powerqe(),
    *div2k.aim_2022(),
    *jpeg.grey(),
    *jpeg.colour(),
    *div2k.subjective_qe(),
)


def lookup(method: str, dataset: str, scale: int, compression: str, protocol: str = "colour") -> Published | None:
    """Return the published averages of this method on this task, None if there are none. Case is ignored."""
    return _index().get(_key(method, dataset, scale, compression, protocol))


def methods() -> list[str]:
    """The methods with published figures, as printed."""
    return list(dict.fromkeys(row.method for row in PUBLISHED))


_Key = tuple[str, str, int, str, str]


def _key(method: str, dataset: str, scale: int, compression: str, protocol: str) -> _Key:
    return method.casefold(), dataset.casefold(), scale, compression.casefold(), protocol


@cache
def _index() -> dict[_Key, Published]:
    return {_key(row.method, row.dataset, row.scale, row.compression, row.protocol): row for row in PUBLISHED}


__all__ = [
    "ABLATIONS",
    "COSTS",
    "FINDINGS",
    "PUBLISHED",
    "SUBJECTIVE_QE",
    "Finding",
    "Published",
    "PublishedCost",
    "lookup",
    "methods",
]
