"""Evaluation of frozen features: weighted kNN, linear probe, pictures and the report."""

from __future__ import annotations

from ipse.evaluation.compare import Features, extract, raw_pixels, score
from ipse.evaluation.knn import weighted_knn
from ipse.evaluation.linear_probe import linear_probe
from ipse.evaluation.phases import balanced_weights, fine_tune, video_macro_f1
from ipse.evaluation.pictures import Picture, bars, embedding, loss_curve, matrices, png
from ipse.evaluation.report import render_report
from ipse.evaluation.result import Result, Scores

__all__ = [
    "Features",
    "Picture",
    "Result",
    "Scores",
    "balanced_weights",
    "bars",
    "embedding",
    "extract",
    "fine_tune",
    "linear_probe",
    "loss_curve",
    "matrices",
    "png",
    "raw_pixels",
    "render_report",
    "score",
    "video_macro_f1",
    "weighted_knn",
]
