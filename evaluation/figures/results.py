"""Tables that an evaluation wrote, read for figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.options import EvaluationOptions
from evaluation.tables.averages import KEYS
from metrics.measures import MEASURES
from utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def read_average(options: EvaluationOptions, measure: str) -> pd.DataFrame:
    """`average.csv` of an evaluation that includes `measure`.

    Raises:
        UserError: as `read_table`, or `measure` was not measured.
    """
    from pandas.api.types import is_numeric_dtype

    average = read_table(options, "average.csv")
    scored = [name for name in MEASURES if name in average and is_numeric_dtype(average[name])]
    measured = [name for name in scored if average[name].notna().any()]
    if measure not in measured:
        known = ", ".join(measured) or "nothing"
        raise UserError(f"{options.folder / 'average.csv'}: {measure} was not measured ({known} was); see `metrics`")
    return average


def read_table(options: EvaluationOptions, name: str) -> pd.DataFrame:
    """`average.csv` or `images.csv` of an evaluation.

    Raises:
        UserError: the file is missing, or is not a table of scores.
    """
    import pandas as pd

    path = options.folder / name
    if not path.is_file():
        raise UserError(f"{path}: not there; run `bash eval.sh` with this options file first")
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); run `bash eval.sh` again") from None
    missing = [column for column in (*KEYS, "bits_per_pixel") if column not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; run `bash eval.sh` again")
    return table
