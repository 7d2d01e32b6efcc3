"""`pyxai audit` from files and modules."""

import sys

import numpy as np
import pytest
import torch
from audit_cases import files_of, make_net, make_rows

from pyxai.audit import audit, load
from pyxai.cli import main


@pytest.fixture
def files(tmp_path):
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(make_net(), (make_rows(2),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    np.save(tmp_path / "rows.npy", make_rows().double().numpy())
    return tmp_path


def test_an_audit_of_files(files, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    out = files / "out"
    command = ["audit", str(files / "net.pt2"), str(files / "rows.npy"), "--out", str(out)]
    options = ["--method", "saliency", "--method", 'integrated_gradients {"n_steps": 6}']
    more = ["--metric", "sparseness", "--shard-size", "9", "--dtype", "float16"]
    assert main([*command, *options, *more]) == 0
    said = capsys.readouterr()
    assert "3 of 3 shard(s) done" in said.out
    assert "3 of 3 shard(s)" in said.err
    lines = [line.split() for line in said.out.splitlines()]
    assert ["integrated_gradients", "sparseness", "23", "0"] in [line[:4] for line in lines]
    assert load(out).plan["methods"][1]["options"] == {"n_steps": 6}
    assert load(out).maps("saliency").dtype == torch.float16
    before = files_of(out)
    monkeypatch.undo()
    assert main([*command, *options, *more]) == 0
    assert not capsys.readouterr().err
    assert files_of(out) == before


def test_a_module_makes_the_model(files, capsys):
    out = files / "out"
    command = ["audit", "audit_cases:make_net", str(files / "rows.npy"), "--out", str(out)]
    for part in range(2):
        shard = ["--shard", f"{part}/2", "--shard-size", "12", "--no-maps", "--top-k", "3"]
        assert main([*command, *shard, "--target", "1"]) == 0
    assert load(out).complete
    assert load(out).rows().target.tolist() == [1] * 23


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--method": "saliency {n: 1}"}, "--method must be NAME or NAME {JSON}"),
        ({"--metric": "nothing"}, "metrics must be one of"),
        ({"model": "nothing.pt"}, "model must be a file that is there, or module:function"),
        ({"data": "nothing.csv"}, "data must be a file, got 'nothing.csv': no such file"),
        ({"data": __file__}, "data must be a folder, or a file of one of .parquet, .csv, .tsv, .n"),
        ({"--target": "best"}, "target must be one of"),
        ({"--backend": "dask"}, "backend must be one of 'local', 'ray'"),
    ],
)
def test_errors_are_one_line(files, capsys, change, message):
    given = {
        "model": files / "net.pt2",
        "data": files / "rows.npy",
        "--out": files / "out",
        **change,
    }
    words = [str(given.pop("model")), str(given.pop("data"))]
    words += [str(word) for pair in given.items() for word in pair]
    assert main(["audit", *words]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not list(files.rglob("*.parquet"))


def test_a_table_in_text_is_audited_and_names_the_features_of_its_page(files, capsys):
    rows = make_rows().double().numpy()
    lines = [",".join(map(repr, [*map(float, row), number % 3])) for number, row in enumerate(rows)]
    table = files / "rows.csv"
    table.write_text("\n".join(["a,b,c,d,e,f,kind", *lines]), encoding="utf-8")
    command = ["audit", "audit_cases:make_net", str(table), "--label", "kind", "--target", "label"]
    assert main([*command, "--method", "saliency", "--out", str(files / "out")]) == 0
    found = load(files / "out")
    assert found.rows().label.tolist() == [number % 3 for number in range(23)]
    array = audit(
        make_net(), (rows, np.arange(23) % 3), "saliency", (), files / "b", target="label"
    )
    assert torch.equal(found.maps("saliency"), array.maps("saliency"))
    page = files / "page.html"
    command = ["report", str(files / "out"), "--dataset", str(table), "--label", "kind"]
    assert main([*command, "--out", str(page)]) == 0
    assert ">e</" in page.read_text(encoding="utf-8").replace(" ", "")
    table.write_text("a,name\n1,Ada\n", encoding="utf-8")
    assert main(["audit", "audit_cases:make_net", str(table), "--out", str(files / "c")]) == 1
    said = capsys.readouterr().err
    assert "words in 1 column(s)" in said
    assert "--drop" not in said
