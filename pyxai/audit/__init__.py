"""Explain whole data sets: shards in files, resumed after a crash, by one process or by many.

May import metrics, data sets, methods and what is below. Start with `launch`; a shard is made in
`shard`, from what `job` plans; `results` reads what is there, `export` hands it to other tools.
"""

from __future__ import annotations

from pyxai.audit.job import Job, Made, prepare
from pyxai.audit.launch import audit
from pyxai.audit.measures import BETTER, METRICS
from pyxai.audit.results import Audit, load, merge
from pyxai.audit.shard import run_shard
from pyxai.audit.statistics import ClassMaps

__all__ = [
    "BETTER",
    "METRICS",
    "Audit",
    "ClassMaps",
    "Job",
    "Made",
    "audit",
    "load",
    "merge",
    "prepare",
    "run_shard",
]
