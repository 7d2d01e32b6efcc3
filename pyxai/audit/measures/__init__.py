"""Metrics of an audit: numbers for each example and method, and which way each is better.

May import metrics, `pyxai.taylor` and the methods that are asked. Start with `asked`; a metric
that needs more than model, inputs and attributions has a function in `answers`.
"""

from __future__ import annotations

from pyxai.audit.measures.asked import (
    BETTER,
    METRICS,
    MetricAsked,
    check_measurable,
    metrics_asked,
)

__all__ = ["BETTER", "METRICS", "MetricAsked", "check_measurable", "metrics_asked"]
