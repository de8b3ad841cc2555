"""Evaluation of frozen features: weighted kNN, linear probe, pictures and the report."""

from __future__ import annotations

from ipse.evaluation.compare import Features, encode_all, extract, raw_pixels, score
from ipse.evaluation.defences import PREPROCESSING, fine_tune_classifier, prune_encoder
from ipse.evaluation.knn import weighted_knn
from ipse.evaluation.linear_probe import LinearProbe, fit_linear_probe, linear_probe
from ipse.evaluation.ood import (
    LogitScores,
    knn_score,
    logit_scores,
    mahalanobis_score,
    react_score,
    require_disjoint,
)
from ipse.evaluation.ood_metrics import DetectionMetrics, aupr, auroc, detection_metrics, fpr_at_tpr
from ipse.evaluation.phases import balanced_weights, fine_tune, video_macro_f1
from ipse.evaluation.pictures import (
    Picture,
    embedding,
    loss_curve,
    matrices,
    png,
    spreads,
)
from ipse.evaluation.report import render_report
from ipse.evaluation.result import Result, Scores
from ipse.evaluation.robustness import Robustness, fit_mlp_head, measure_robustness
from ipse.evaluation.table import Table
from ipse.evaluation.universal_attack import AttackSettings, fit_universal_perturbation
from ipse.evaluation.universal_perturbation import UniversalPerturbation, random_signs

__all__ = [
    "PREPROCESSING",
    "AttackSettings",
    "DetectionMetrics",
    "Features",
    "LinearProbe",
    "LogitScores",
    "Picture",
    "Result",
    "Robustness",
    "Scores",
    "Table",
    "UniversalPerturbation",
    "aupr",
    "auroc",
    "balanced_weights",
    "detection_metrics",
    "embedding",
    "encode_all",
    "extract",
    "fine_tune",
    "fine_tune_classifier",
    "fit_linear_probe",
    "fit_mlp_head",
    "fit_universal_perturbation",
    "fpr_at_tpr",
    "knn_score",
    "linear_probe",
    "logit_scores",
    "loss_curve",
    "mahalanobis_score",
    "matrices",
    "measure_robustness",
    "png",
    "prune_encoder",
    "random_signs",
    "raw_pixels",
    "react_score",
    "render_report",
    "require_disjoint",
    "score",
    "spreads",
    "video_macro_f1",
    "weighted_knn",
]
