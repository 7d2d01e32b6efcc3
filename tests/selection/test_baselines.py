"""Other orders of features against closed forms on a linear model."""

import pytest
import torch
from linear_table import D, LinearTable, linear

from pyxai.selection import baseline_feature_selection


class TestClosedForms(LinearTable):
    def test_exact_greedy_is_the_best_of_each_round(self):
        found = baseline_feature_selection(
            linear, (self.x, self.y), order_by="exact", loss="squared_error"
        )
        shown = []
        for feature, gain in zip(found.order.tolist(), found.scores, strict=True):
            left = [i for i in range(D) if i not in shown]
            losses = {i: float(self.loss_of([*shown, i])) for i in left}
            assert losses[feature] == pytest.approx(min(losses.values()), abs=1e-12)
            assert float(gain) == pytest.approx(float(self.loss_of(shown)) - losses[feature])
            shown.append(feature)

    def test_integrated_gradients_order(self):
        found = baseline_feature_selection(
            linear, (self.x, self.y), order_by="integrated_gradients", loss="squared_error"
        )
        expected = (self.parts * self.parts.sum(1, keepdim=True)).abs().mean(0)
        torch.testing.assert_close(found.scores, expected[found.order], rtol=1e-9, atol=1e-12)

    def test_permutation_order(self):
        """E of the rise when a column is shuffled is 2 N / (N - 1) Var(part), here to 4 %."""
        found = baseline_feature_selection(
            linear, (self.x, self.y), order_by="permutation", loss="squared_error", n_repeats=200
        )
        expected = 2 * self.parts.square().mean(0)
        torch.testing.assert_close(found.scores, expected[found.order], rtol=0.04, atol=1e-9)

    def test_permutation_counts_from_the_loss_of_whole_rows(self):
        """Labels one above the outputs: the loss is 1 before any column is shuffled."""
        found = baseline_feature_selection(
            linear, (self.x, self.y + 1), order_by="permutation", loss="squared_error"
        )
        without_weight = found.scores[found.order == 2]
        torch.testing.assert_close(without_weight, torch.zeros(1).double(), rtol=0, atol=1e-12)
