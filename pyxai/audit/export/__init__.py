"""Audits in the forms of other tools: xarray, Zarr, ViRelAy.

May import what an audit is made of, and the packages of its extras when they are used. Start with
`labelled`, whose variables and coordinates the store in `zarr_store` has too.
"""

from __future__ import annotations

from pyxai.audit.export.labelled import dataset_of
from pyxai.audit.export.virelay import write_virelay
from pyxai.audit.export.zarr_store import write_zarr

__all__ = ["dataset_of", "write_virelay", "write_zarr"]
