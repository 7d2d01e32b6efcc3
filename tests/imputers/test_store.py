"""An imputer that was saved draws what it drew."""

import json

import pytest
import torch
from imputer_cases import CASES, IDS

from pyxai import imputers
from pyxai._files import write_tensors


def draws(imputer, case):
    masks = tuple(
        torch.arange(value.numel()).view(value.shape).unsqueeze(1) % 2 == 0 for value in case.inputs
    )
    ready = imputer.check(case.inputs)
    return ready.draw(case.inputs, masks if ready.conditional else None, seed=2, example_ids=IDS)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_saved_imputer_draws_the_same(case, tmp_path):
    imputer = case.make()
    if isinstance(imputer, imputers.Callback):
        with pytest.raises(TypeError, match="imputer must hold numbers, text and tensors to be"):
            imputer.save(tmp_path / "a")
        assert not list(tmp_path.iterdir())
        return
    path = imputer.save(tmp_path / "a")
    if isinstance(imputer, imputers.LatentMixture):
        with pytest.raises(ValueError, match=r"LatentMixture\.load takes them"):
            imputers.Imputer.load(path)
        loaded = imputers.LatentMixture.load(path, imputer.encoder, imputer.decoder)
        with pytest.raises(TypeError, match="encoder must be callable, got None"):
            imputers.LatentMixture.load(path)
    else:
        loaded = imputers.Imputer.load(path)
    assert type(loaded) is type(imputer)
    for a, b in zip(draws(imputer, case), draws(loaded, case), strict=True):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))


def test_other_files_are_refused(tmp_path):
    path = imputers.Constant(1.0).save(tmp_path / "a")
    with pytest.raises(ValueError, match="path must hold KMeans, got Constant"):
        imputers.KMeans.load(path)
    with pytest.raises(FileNotFoundError, match="path must be the file of an imputer"):
        imputers.Imputer.load(tmp_path / "b")
    write_tensors(tmp_path / "c", {}, kind="other", header=json.dumps({}))
    with pytest.raises(ValueError, match=r"path must be written by Imputer\.save"):
        imputers.Imputer.load(tmp_path / "c")
    header = {"format": 1, "class": "os.system", "fields": {"dict": []}}
    write_tensors(tmp_path / "d", {}, kind="imputer", header=header)
    with pytest.raises(ValueError, match=r"path must hold Imputer, got os\.system"):
        imputers.Imputer.load(tmp_path / "d")
