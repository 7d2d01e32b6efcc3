"""Pages of audits: their numbers are those of rows and maps, and they say what they leave out."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas
import pytest
import torch
from audit_cases import Rows, make_labels, make_net, make_rows
from html_reader import Reader
from scipy.stats import spearmanr
from small_audits import digits_audit

from pyxai.audit import audit, load
from pyxai.audit.done_shards import DoneShards
from pyxai.report import of_audit
from pyxai.report.audit import sample, survey
from pyxai.report.audit.gather import gathered
from pyxai.report.audit.names import Data

METHODS = ["input_x_gradient", "saliency"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return digits_audit(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def found(digits):
    return gathered(digits[0], Data())


def words_of(report):
    return Reader(report.to_html()).words


def data_of(report):
    text = re.search(r'<script type="application/json">(.*?)</script>', report.to_html(), re.S)
    return json.loads(text[1])


def test_spreads_are_quantiles_of_the_rows(digits, found):
    rows = digits[0].rows()
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    for column in ("gap", "sparseness", "output"):
        for target in (None, *found.classes):
            for method, spread in found.spreads[column][target].items():
                mine = rows[rows.method == method]
                mine = mine if target is None else mine[mine.target == target]
                values = mine[column].dropna()
                values = values.abs() if column == "gap" else values
                assert spread.count == len(values)
                expected = np.quantile(values, levels) if len(values) else ()
                np.testing.assert_allclose(spread.quantiles, expected, rtol=1e-12)


def test_examples_are_the_worst_and_the_most_typical_of_all(digits, found):
    rows = digits[0].rows().dropna(subset=["output"])
    gaps = rows[rows.method == "integrated_gradients"].set_index("id").gap.abs()
    order = gaps.sort_values(ascending=False, kind="stable").index[:3].tolist()
    assert [number for _, number in found.survey.incomplete] == order
    assert found.leading == "sparseness"  # of which more is better
    means = rows.groupby("id").sparseness.mean()
    assert [n for _, n in found.survey.worst] == means.sort_values().index[:3].tolist()
    distances = {}
    for column in ("output", "gap", "relative_gap", "sparseness"):
        for method, mine in rows.groupby("method"):
            values = (
                mine.set_index("id")[column].abs()
                if "gap" in column
                else mine.set_index("id")[column]
            )
            if values.notna().any():
                low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
                distances[column, method] = (values - middle).abs() / (high - low)
    typical = pandas.DataFrame(distances).mean(axis=1).sort_values()
    assert [n for _, n in found.survey.typical] == typical.index[:3].tolist()
    np.testing.assert_allclose([v for v, _ in found.survey.typical], typical[:3], rtol=1e-9)


def test_agreement_is_the_mean_rank_correlation_of_single_examples(digits, found):
    maps = {m: digits[0].maps(m).flatten(1).double() for m in digits[0].methods}
    good = [n for n in range(12) if n != 5]
    for one, first in enumerate(maps.values()):
        for other, second in enumerate(maps.values()):
            expected = np.mean([spearmanr(first[n], second[n]).statistic for n in good])
            assert float(found.sample.correlations[one, other]) == pytest.approx(expected, abs=1e-6)
    assert found.sample.n_compared == 11  # one has no answer


def test_means_of_classes_are_those_of_the_audit(digits, found):
    for method, by_class in found.sample.means.items():
        expected = digits[0].class_maps(method)
        assert set(by_class) == {target for target in expected if target is not None}
        for target, means in by_class.items():
            assert means.count == expected[target].count
            torch.testing.assert_close(means.mean, expected[target].mean.flatten())


def test_a_page_has_pictures_of_maps_and_inputs_and_says_what_failed(digits):
    plain, pictured = of_audit(digits[0].folder.path), of_audit(*digits)
    pages = [Reader(report.to_html()) for report in (plain, pictured)]
    images = [sum(tag == "img" for tag, _ in page.tags) for page in pages]
    shown = len(re.findall(r"<h4>Example", plain.to_html()))
    assert shown == 9
    assert images[1] - images[0] == shown  # the inputs
    for words in (page.words for page in pages):
        assert "36 explanations, 3 of them without an answer" in words
        assert "inputs must be finite, got NaN or infinity" in words
        assert "This audit is not complete" not in words


def test_rows_of_the_table_are_those_of_the_audit(digits):
    data = data_of(of_audit(*digits, class_names=["ant", "bee", "cow"]))
    heads = [column["name"] for column in data["columns"]]
    assert heads[:6] == ["id", "method", "label", "target", "prediction", "right"]
    rows = digits[0].rows()
    assert len(data["rows"]) == len(rows)
    for row, (_, expected) in zip(data["rows"], rows.iterrows(), strict=True):
        shown = dict(zip(heads, row, strict=True))
        assert shown["id"] == expected.id
        assert shown["method"] == expected.method.replace("_", " ")
        if pandas.isna(expected.error):
            assert shown["target"] == ["ant", "bee", "cow"][int(expected.target)]
            assert shown["sparseness"] == pytest.approx(expected.sparseness, rel=1e-6)
            assert shown["right"] == ("yes" if expected.label == expected.prediction else "no")
        else:
            assert shown["error"] == expected.error
            assert shown["sparseness"] is shown["target"] is None


def test_a_large_table_is_a_stated_selection(digits, monkeypatch):
    monkeypatch.setattr(survey, "LISTED", 12)
    monkeypatch.setattr(survey, "_FAILED", 2)
    report = of_audit(digits[0])
    rows = data_of(report)["rows"]
    assert [row[0] for row in rows] == [0] * 3 + [4] * 3 + [5] * 2 + [8] * 3
    words = words_of(report)
    assert "11 of 36 rows" in words
    assert "25 are left out" in words
    assert f'pyxai.audit.load("{digits[0].folder.path}").rows()' in words


def test_maps_of_some_shards_stand_for_all_where_they_are_large(digits, monkeypatch):
    monkeypatch.setattr(sample, "_BYTES", 2 * digits[0].folder.maps(0).stat().st_size)
    read, stored_maps = [], DoneShards.stored_maps
    monkeypatch.setattr(
        DoneShards, "stored_maps", lambda self, n: read.append(n) or stored_maps(self, n)
    )
    found = sample.sample_maps(digits[0], digits[0].methods, [0, 1, 2])
    assert not found.whole
    assert found.n_examples == 8
    assert read == [0, 2]  # each once, for all methods
    assert "Over 8 examples of 12, in whole shards" in words_of(of_audit(digits[0]))


def test_an_audit_on_its_way_has_a_page_with_a_warning(tmp_path):
    half, _ = digits_audit(tmp_path, shard="0/2")
    words = words_of(of_audit(half))
    assert "not complete: 2 of 3 shards are done" in words
    assert "24 explanations" in words


def test_an_audit_without_a_shard_has_no_page(tmp_path):
    from pyxai.audit import prepare

    prepare(make_net(), make_rows(), METHODS, out=tmp_path)
    with pytest.raises(ValueError, match="out must have a shard that is done, got none in"):
        of_audit(tmp_path)
    with pytest.raises(FileNotFoundError, match="out must be the folder of an audit"):
        of_audit(tmp_path / "elsewhere")


def test_names_come_from_the_columns_of_the_data(tmp_path):
    names = ["weight <kg>", "height", "age", "pulse", "sleep", "steps"]
    table = pandas.DataFrame(make_rows().numpy(), columns=names)
    table["kind"] = make_labels().numpy()
    table.to_parquet(tmp_path / "data.parquet")
    options = {"label": "kind", "out": tmp_path / "out"}
    made = audit(make_net(), tmp_path / "data.parquet", METHODS, **options)
    report = of_audit(made, tmp_path / "data.parquet", label="kind")
    assert all(name in words_of(report) for name in names)
    assert "feature 0" in words_of(of_audit(made))
    again = of_audit(made, feature_names=["a <b>", *"bcdef"])
    assert "a <b>" in words_of(again)
    with pytest.raises(ValueError, match=r"feature_names must have .* of 6 feature\(s\), got 2"):
        of_audit(made, feature_names=["a", "b"])
    with pytest.raises(ValueError, match=r"class_names must have .* of 3 or more outputs, got 2"):
        of_audit(made, class_names=["a", "b"])
    with pytest.raises(ValueError, match="dataset must be the one that was audited"):
        of_audit(made, make_rows(seed=5))


def test_folders_name_the_outputs_only_where_they_can(tmp_path):
    class Named(Rows):
        classes = ("cat", "dog")

    for outputs, named in ((2, True), (3, False)):
        data = Named(make_rows(12), make_labels(12) % 2)
        made = audit(make_net(classes=outputs), data, METHODS, out=tmp_path / str(outputs))
        words = words_of(of_audit(made, data))
        assert ("explained output cat" in words or "explained output dog" in words) is named


def test_classes_are_written_in_full():
    assert Data(class_names=("a",)).class_(0) == "a"
    assert [Data().class_(number) for number in (1234567.0, 2, 0.25, None)] == [
        "1234567",
        "2",
        "0.25",
        None,
    ]


def test_what_failed_cannot_break_the_page(tmp_path):
    class Odd(Rows):
        def __getitem__(self, number):
            if number == 3:
                raise OSError("</script><script>alert(1)</script><b>")
            return super().__getitem__(number)

    made = audit(make_net(), Odd(make_rows(8)), METHODS, out=tmp_path)
    reader = Reader(of_audit(made).to_html())
    assert not [tag for tag, _ in reader.tags if tag == "b"]
    assert sum(tag == "script" for tag, _ in reader.tags) == 2  # the page's own, and the rows
    assert "alert(1)" in reader.words


def test_pages_of_audits_without_maps_and_of_one_output_and_of_several_inputs(tmp_path):
    rows = make_rows(8)
    plain = audit(make_net(), rows, METHODS, out=tmp_path / "plain", maps=False)
    assert "<h4>" not in of_audit(plain, rows).to_html()
    rows[2, 3] = torch.nan
    one = audit(lambda x: x.square().sum(1), rows, METHODS, out=tmp_path / "one", target=None)
    assert "What they show on average" in words_of(of_audit(one, rows))
    means = gathered(one, Data()).sample.means["saliency"][None]
    assert means.count == 7
    expected = one.maps("saliency")[[n for n in range(8) if n != 2]].double().mean(0)
    torch.testing.assert_close(means.mean, expected)

    def two(first, second):
        return first.sum(1) * second.sum(1)

    rows = make_rows(8)
    both = audit(two, (rows, rows + 1), METHODS[:1], out=tmp_path / "two", target=None)
    assert "feature 11" in words_of(of_audit(both, (rows, rows + 1)))
    assert load(tmp_path / "two").complete


@pytest.mark.parametrize(("n_examples", "few"), [(29, True), (30, False)])
def test_short_intervals_of_few_examples_are_said_to_be_short(tmp_path, n_examples, few):
    made = audit(make_net(), make_rows(n_examples), METHODS, "sparseness", tmp_path)
    assert ("are too short" in words_of(of_audit(made))) == few


def test_an_audit_in_which_all_fails_so_far_has_a_page_that_says_so(tmp_path):
    rows = make_rows(8)
    rows[:4] = torch.nan
    made = audit(make_net(), rows, METHODS, out=tmp_path, shard_size=4, shard="0/2")
    report = of_audit(made, rows)
    assert "8 explanations, 8 of them without an answer" in words_of(report)
    assert len(data_of(report)["rows"]) == 8
