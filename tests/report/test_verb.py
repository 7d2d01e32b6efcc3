"""`pyxai report`: which page is written where, and what does not go with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from audit_cases import make_net, make_rows
from html_reader import Reader

from pyxai import cli
from pyxai.audit import audit
from pyxai.explanation import Explanation


def test_the_page_of_an_audit_is_written_into_its_folder(tmp_path, capsys):
    rows = make_rows(8).numpy()
    np.save(tmp_path / "rows.npy", rows)
    audit(make_net(), rows, ["saliency"], out=tmp_path / "out")
    command = ["report", str(tmp_path / "out"), "--dataset", str(tmp_path / "rows.npy")]
    assert cli.main([*command, "--feature-names", "a,b,c,d,e,f", "--class-names", "x,y,z"]) == 0
    page = tmp_path / "out" / "report.html"
    assert capsys.readouterr().out == f"wrote {page}\n"
    reader = Reader(page.read_text(encoding="utf-8"))
    assert "Audit of 8 examples" in reader.words
    assert {"x", "y", "z"} & set(reader.words.replace(";", " ").split())
    # The folder is still that of the audit.
    audit(make_net(), rows, ["saliency"], out=tmp_path / "out")
    assert page.is_file()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dataset", "x.npy"], "--dataset must be left out of a page of an explanation"),
        (["--label", "y"], "--label must be left out"),
        (["--feature-names", "a"], "--feature-names must be left out"),
    ],
)
def test_flags_of_audits_are_refused_for_an_explanation(tmp_path, capsys, flags, said):
    values = torch.ones(1, 2)
    saved = Explanation(values, values).save(tmp_path / "e")
    assert cli.main(["report", str(saved), "--out", str(tmp_path / "r.html"), *flags]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_a_folder_without_an_audit_is_named(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 1
    assert f"out must be the folder of an audit, got {str(tmp_path)!r}" in capsys.readouterr().err


def test_what_is_not_there_is_said_to_be_missing(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "what must be the folder of an audit or the file of an explanation" in said
    assert "nothing is there" in said
    assert not list(tmp_path.iterdir())
