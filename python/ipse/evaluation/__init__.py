"""Evaluation of frozen features: weighted kNN, linear probe, pictures and the report."""

from __future__ import annotations

from ipse.evaluation.compare import Features, extract, raw_pixels, score
from ipse.evaluation.knn import weighted_knn
from ipse.evaluation.linear_probe import linear_probe
from ipse.evaluation.pictures import Picture, embedding, loss_curve, matrices, png, spreads
from ipse.evaluation.report import render_report
from ipse.evaluation.result import Result, Scores

__all__ = [
    "Features",
    "Picture",
    "Result",
    "Scores",
    "embedding",
    "extract",
    "linear_probe",
    "loss_curve",
    "matrices",
    "png",
    "raw_pixels",
    "render_report",
    "score",
    "spreads",
    "weighted_knn",
]
