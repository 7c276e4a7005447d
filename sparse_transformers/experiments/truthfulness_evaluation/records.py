"""What is found out about classifiers of claims: plain values, from which figures are drawn."""

from dataclasses import dataclass

from sparse_transformers.claims.presets import ClaimPresets
from sparse_transformers.utils.metrics.claim_scores import ClaimScores
from sparse_transformers.utils.metrics.significance import PairedDifference
from sparse_transformers.utils.metrics.thresholds import ThresholdChoice

MAJORITY, LINEAR, BAYES = "majority", "TF-IDF + logistic regression", "Bayes classifier"
NGRAMS, TRANSFORMER, BOTH = "n-grams", "transformer", "transformer + n-grams"
"""What judges."""

VERDICTS, TRUTHFUL = "verdicts", "truthful or not"
"""What is asked: for all labels, or for two classes."""


@dataclass(frozen=True)
class ClaimEvaluationSettings(ClaimPresets):
    """What to train: the presets that `train-claims` uses, and how much to evaluate.

    Attributes:
        history: whether to train on the credit history too, where a table has it. It leaks.
        linear_strength: the inverse regularisation of the linear baselines.
        synthetic_rows: of the claims that stand in where there are no real ones.
        bayes_accuracy: of the best classifier of their labels.
        n_resamples: for every interval.
    """

    history: bool = False
    linear_strength: float = 0.3
    synthetic_rows: int = 2000
    bayes_accuracy: float = 0.5
    n_resamples: int = 499


@dataclass(frozen=True)
class JudgedModel:
    """A model and what it reads, and how well it judges the held-out rows.

    Attributes:
        model: what judges.
        inputs: what it reads.
        leaks: whether that holds part of the answer.
        scores: on the held-out rows.
        lead: how much more accurate the main model of the task is on the same rows; None for
            itself, and for models that leak.
        fold_accuracies: on the training rows, by fold, of members that had not learned from them;
            empty for models that were not cross-validated.
        threshold: for two classes, the one with the highest F1 on those same judgements.
        f1_at_threshold: what that threshold comes to on the held-out rows.
    """

    model: str
    inputs: str
    leaks: bool
    scores: ClaimScores
    lead: PairedDifference | None = None
    fold_accuracies: tuple[float, ...] = ()
    threshold: ThresholdChoice | None = None
    f1_at_threshold: float | None = None

    @property
    def name(self) -> str:
        """Model and inputs."""
        return f"{self.model}, {self.inputs}"


@dataclass(frozen=True)
class ClaimTask:
    """One question to one data set.

    Attributes:
        corpus: name of the data set.
        task: `VERDICTS` or `TRUTHFUL`.
        classes: from the least to the most truthful.
        n_train: rows to learn from.
        n_valid: held-out rows.
        group: the column whose values are resampled together.
        n_groups: how many values it has in the held-out rows.
        models: all that judged.
        main_model: the name of the classifier that the comparisons are about: of those that do
            not leak, the most accurate one in cross-validation on the training rows.
    """

    corpus: str
    task: str
    classes: tuple[str, ...]
    n_train: int
    n_valid: int
    group: str
    n_groups: int
    models: tuple[JudgedModel, ...]
    main_model: str

    @property
    def main(self) -> JudgedModel:
        """The classifier that the comparisons are about."""
        return next(each for each in self.models if each.name == self.main_model)

    @property
    def best_baseline(self) -> JudgedModel:
        """The most accurate linear model."""
        return max(self.of(LINEAR), key=lambda each: each.scores.accuracy.estimate)

    def of(self, model: str) -> list[JudgedModel]:
        """All of one kind, such as `BAYES`: empty where the posteriors are not known."""
        return [each for each in self.models if each.model == model]


@dataclass(frozen=True)
class ClaimEvaluation:
    """All questions to all data sets."""

    settings: ClaimEvaluationSettings
    tasks: tuple[ClaimTask, ...]

    @property
    def binary_tasks(self) -> list[ClaimTask]:
        """Those with two classes."""
        return [task for task in self.tasks if task.task == TRUTHFUL]
