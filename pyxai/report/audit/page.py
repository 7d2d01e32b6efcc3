"""The page of an audit: which sections it has, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyxai.audit import Audit, load
from pyxai.report.audit import examples, facts, maps, ranking, rows
from pyxai.report.audit.gather import gathered
from pyxai.report.audit.names import Data
from pyxai.report.document import Report

__all__ = ["of_audit"]


def of_audit(
    out: str | Path | Audit,
    dataset: Any = None,
    *,
    label: str | None = None,
    feature_names: list[str] | None = None,
    class_names: list[str] | None = None,
) -> Report:
    """Return the page of an audit, also of one that is on its way.

    Memory does not grow with the maps: a shard of them is read at a time, and of many shards some
    that are spread evenly; the page says of how many examples. Numbers of rows are held as by
    `pyxai.audit.Audit.leaderboard`.

    Parameters
    ----------
    out : str, Path or Audit
        The audit, or its folder.
    dataset : any
        The data set that was audited, in any form that `pyxai.audit.audit` takes: for pictures of
        the inputs, values of features, and names of columns and of folders.
    label : str, optional
        Column of a table with the label, as in the audit.
    feature_names : list of str, optional
        Names of the features of an example, in order; default: those of the data set.
    class_names : list of str, optional
        Names of the outputs; default: those of the data set, where they are enough.

    Returns
    -------
    Report
        Ready to be written.

    Raises
    ------
    FileNotFoundError
        If there is no audit.
    ValueError
        If no shard is done yet, a file is not as it was written, ``dataset`` is another one
        than was audited, or there is not a name for each feature, or output.
    ImportError
        If pandas, pyarrow or matplotlib is not installed.
    """
    audit = out if isinstance(out, Audit) else load(out)
    found = gathered(audit, Data.of(audit, dataset, label, feature_names, class_names))
    report = Report(facts.title(found), facts.lead(found), facts.colophon(found))
    facts.summary(report, found)
    ranking.leaderboard(report, found)
    ranking.spread(report, found)
    if found.sample is not None:
        maps.agreement(report, found, found.sample)
        examples.section(report, found)
        maps.means(report, found, found.sample)
    facts.failures(report, found)
    rows.section(report, found)
    facts.asked(report, found)
    return report
