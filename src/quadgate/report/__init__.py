"""What a run or an evaluation tells people: measures, their text, and the report beside a model."""

from quadgate.report.evaluation import (
    Predictions,
    class_names,
    evaluate,
    matched_channels,
    predict,
    predict_steps,
    with_neighbors,
)
from quadgate.report.metrics import Measures, Scores, check_labels, score, wilson_interval
from quadgate.report.parts import learned_steps, part_to_judge
from quadgate.report.record import training_lines, write_report
from quadgate.report.samples import accuracy_by_samples, samples_line
from quadgate.report.text import print_scores, scores_table

__all__ = [
    "Measures",
    "Predictions",
    "Scores",
    "accuracy_by_samples",
    "check_labels",
    "class_names",
    "evaluate",
    "learned_steps",
    "matched_channels",
    "part_to_judge",
    "predict",
    "predict_steps",
    "print_scores",
    "samples_line",
    "score",
    "scores_table",
    "training_lines",
    "wilson_interval",
    "with_neighbors",
    "write_report",
]
