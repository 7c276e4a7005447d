"""What a `DatasetAnalyzer` finds out, as plain values that can be written to JSON and read back."""

from dataclasses import dataclass

from sparse_transformers.utils.analysis.data_quality import DataQuality
from sparse_transformers.utils.analysis.dataset_bias import ColumnAssociation
from sparse_transformers.utils.analysis.dataset_columns import DatasetColumns
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.analysis.label_balance import LabelDistribution
from sparse_transformers.utils.analysis.label_leak import LabelLeak
from sparse_transformers.utils.analysis.label_probes import LabelProbes
from sparse_transformers.utils.analysis.split_overlap import SplitPair
from sparse_transformers.utils.analysis.text_statistics import TextPatterns

SERIOUS, MODERATE, MINOR, CLEAR = "serious", "moderate", "minor", "clear"
SEVERITIES = (SERIOUS, MODERATE, MINOR, CLEAR)
"""A score on the data does not mean what it seems to; it must be read with care; the data have a
blemish; looked for and not found."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        severity: one of `SEVERITIES`.
        title: what was found, in a few words.
        text: with the numbers, in whole sentences.
    """

    severity: str
    title: str
    text: str


@dataclass(frozen=True)
class BasicStats:
    """The outside of a table.

    Attributes:
        total_samples: rows.
        data_types: of every column, in their order.
        columns: what the columns are for.
        rows_per_split: by split; empty without splits.
        rows_per_group: over the speakers or other groups; None without groups.
        groups: how many there are.
    """

    total_samples: int
    data_types: dict[str, str]
    columns: DatasetColumns
    rows_per_split: dict[str, int]
    rows_per_group: Distribution | None
    groups: int


@dataclass(frozen=True)
class BiasAnalysis:
    """What the label goes with.

    Attributes:
        associations: of every column, and of the form of every text; the strongest first.
        probes: simple models of each part of the table; None if the rows are too few.
        leak: whether something gives the label away.
    """

    associations: tuple[ColumnAssociation, ...]
    probes: LabelProbes | None
    leak: LabelLeak


@dataclass(frozen=True)
class AdvancedAnalysis:
    """Numbers by label and among each other.

    Attributes:
        text_length_by_label: words per text, by text column and label.
        readability_by_label: Flesch reading ease, by text column and label.
        numeric_correlations: Spearman's, of every two number columns.
    """

    text_length_by_label: dict[str, dict[str, Distribution]]
    readability_by_label: dict[str, dict[str, Distribution]]
    numeric_correlations: dict[str, dict[str, float]]


@dataclass(frozen=True)
class DatasetAnalysis:
    """All that a `DatasetAnalyzer` finds out.

    Attributes:
        basic_stats: the outside.
        text_analysis: by text column.
        label_analysis: how the rows are spread over the labels; None without a label.
        data_quality: missing cells, repeats, odd texts, contradictions.
        split_overlap: what splits share; empty with fewer than two.
        bias: what the label goes with; None unless there are two labels.
        advanced: None unless asked for.
    """

    basic_stats: BasicStats
    text_analysis: dict[str, TextPatterns]
    label_analysis: LabelDistribution | None
    data_quality: DataQuality
    split_overlap: tuple[SplitPair, ...]
    bias: BiasAnalysis | None
    advanced: AdvancedAnalysis | None = None
