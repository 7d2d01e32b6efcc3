"""Deconvolution against autograd functions in place of the ReLUs."""

from modified_relus import assert_modified

from pyxai.attribution import Deconvolution


def test_relus_are_found_wherever_they_are():
    assert_modified(Deconvolution, guided=False)
