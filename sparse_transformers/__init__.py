"""Sparse attention to learn from, teach with and experiment on: one position rule per pattern."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from sparse_transformers.claims.answer_scores import answer_log_probabilities
from sparse_transformers.demos.attention_pattern_generator import AttentionPatternGenerator
from sparse_transformers.demos.local_sparse_attention import LocalSparseAttention
from sparse_transformers.demos.sparse_attention_demo import SparseAttentionDemo
from sparse_transformers.efficiency.costs import AttentionCost, attention_cost
from sparse_transformers.interpretability.attention_pictures import plot_attention
from sparse_transformers.interpretability.causality import LeakReport, find_future_leak
from sparse_transformers.models.attention_ops import BACKENDS, sparse_attention
from sparse_transformers.models.attention_patterns import (
    PATTERNS,
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    Fixed,
    GlobalTokens,
    LocalWindow,
    Longformer,
    PerHead,
    RandomSparse,
    Strided,
    make_pattern,
    register_pattern,
)
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.attention_selected import selected_attention
from sparse_transformers.models.block_layout import BlockLayout
from sparse_transformers.models.experts.layer import (
    MoELayer,
    MoEOutput,
    expert_loss,
    record_experts,
    update_routers,
)
from sparse_transformers.models.experts.router import Choice, Router, TokenChoiceRouter
from sparse_transformers.models.experts.routers import ROUTERS, make_router, register_router
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.models.pattern_base import PerSequence
from sparse_transformers.models.selectors import (
    SELECTORS,
    Selector,
    TopKSelector,
    register_selector,
)
from sparse_transformers.models.sequence_patterns import Documents
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_block import SparseTransformerBlock
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.models.truthfulness_head import TruthfulnessHead, TruthfulnessOutput
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer

if TYPE_CHECKING:  # what a type checker reads; at run time `__getattr__` imports these
    from sparse_transformers.claims.classifier import ClaimClassifier
    from sparse_transformers.claims.config import ClaimClassifierConfig
    from sparse_transformers.demos.expert_router import ExpertRouter
    from sparse_transformers.demos.expert_router_demo import ExpertRouterDemo
    from sparse_transformers.interpretability.expert_ablation import expert_losses
    from sparse_transformers.interpretability.routing_statistics import RoutingStatistics
    from sparse_transformers.utils.dataset_analysis import DatasetAnalyzer
    from sparse_transformers.utils.dataset_loaders import (
        load_enwik8,
        load_judged_answers,
        load_liar,
        load_truthfulqa,
    )
    from sparse_transformers.utils.dataset_synthesis import (
        export_dataset_samples,
        generate_cross_domain_dataset,
        generate_liar_sample,
        generate_multifc_sample,
        generate_truthfulqa_sample,
        synthesize_liar,
        synthesize_multifc,
        synthesize_truthfulqa,
    )
    from sparse_transformers.utils.datasets.dataset_corruption import (
        add_data_quality_issues,
        create_balanced_dataset,
    )
    from sparse_transformers.utils.datasets.dataset_statistics import get_dataset_statistics
    from sparse_transformers.utils.datasets.statement_kinds import generate_statements
    from sparse_transformers.utils.metrics.experts.load import ExpertLoadBalancer
    from sparse_transformers.utils.metrics.experts.specialization import specialization
    from sparse_transformers.utils.metrics.experts.specialization_analyzer import (
        ExpertSpecializationAnalyzer,
    )
    from sparse_transformers.utils.metrics.truthfulqa_scores import truthfulqa_mc
    from sparse_transformers.utils.truthfulness_metrics import TruthfulnessEvaluator

_IMPORTED_ON_USE = {
    "ClaimClassifier": "claims.classifier",
    "ClaimClassifierConfig": "claims.config",
    "DatasetAnalyzer": "utils.dataset_analysis",
    "ExpertLoadBalancer": "utils.metrics.experts.load",
    "ExpertRouter": "demos.expert_router",
    "ExpertRouterDemo": "demos.expert_router_demo",
    "ExpertSpecializationAnalyzer": "utils.metrics.experts.specialization_analyzer",
    "RoutingStatistics": "interpretability.routing_statistics",
    "TruthfulnessEvaluator": "utils.truthfulness_metrics",
    "add_data_quality_issues": "utils.datasets.dataset_corruption",
    "create_balanced_dataset": "utils.datasets.dataset_corruption",
    "expert_losses": "interpretability.expert_ablation",
    "export_dataset_samples": "utils.dataset_synthesis",
    "generate_cross_domain_dataset": "utils.dataset_synthesis",
    "generate_liar_sample": "utils.dataset_synthesis",
    "generate_multifc_sample": "utils.dataset_synthesis",
    "generate_statements": "utils.datasets.statement_kinds",
    "generate_truthfulqa_sample": "utils.dataset_synthesis",
    "get_dataset_statistics": "utils.datasets.dataset_statistics",
    "load_enwik8": "utils.dataset_loaders",
    "load_judged_answers": "utils.dataset_loaders",
    "load_liar": "utils.dataset_loaders",
    "load_truthfulqa": "utils.dataset_loaders",
    "specialization": "utils.metrics.experts.specialization",
    "synthesize_liar": "utils.dataset_synthesis",
    "synthesize_multifc": "utils.dataset_synthesis",
    "synthesize_truthfulqa": "utils.dataset_synthesis",
    "truthfulqa_mc": "utils.metrics.truthfulqa_scores",
}
"""Names that need pandas, SciPy or scikit-learn, which take as long to import as PyTorch."""

__all__ = [
    "BACKENDS",
    "PATTERNS",
    "ROUTERS",
    "SELECTORS",
    "AttentionCost",
    "AttentionPattern",
    "AttentionPatternGenerator",
    "AttentionSinks",
    "BigBird",
    "BlockLayout",
    "BlockSparse",
    "ByteCorpus",
    "Causal",
    "Choice",
    "ClaimClassifier",
    "ClaimClassifierConfig",
    "DatasetAnalyzer",
    "Dense",
    "DilatedWindow",
    "Documents",
    "ExpertLoadBalancer",
    "ExpertRouter",
    "ExpertRouterDemo",
    "ExpertSpecializationAnalyzer",
    "Fixed",
    "GlobalTokens",
    "LeakReport",
    "LocalSparseAttention",
    "LocalWindow",
    "Longformer",
    "MoELayer",
    "MoEOutput",
    "NextByteTask",
    "PerHead",
    "PerSequence",
    "RandomSparse",
    "Router",
    "Routing",
    "RoutingStatistics",
    "Selector",
    "SparseAttentionDemo",
    "SparseTransformer",
    "SparseTransformerBlock",
    "SparseTransformerConfig",
    "Strided",
    "TokenChoiceRouter",
    "TopKSelector",
    "Trainer",
    "TrainingConfig",
    "TruthfulnessEvaluator",
    "TruthfulnessHead",
    "TruthfulnessOutput",
    "add_data_quality_issues",
    "answer_log_probabilities",
    "attention_cost",
    "create_balanced_dataset",
    "expert_loss",
    "expert_losses",
    "export_dataset_samples",
    "find_future_leak",
    "generate_cross_domain_dataset",
    "generate_liar_sample",
    "generate_multifc_sample",
    "generate_statements",
    "generate_truthfulqa_sample",
    "get_dataset_statistics",
    "load_enwik8",
    "load_judged_answers",
    "load_liar",
    "load_truthfulqa",
    "make_pattern",
    "make_router",
    "plot_attention",
    "record_experts",
    "reference_attention",
    "register_pattern",
    "register_router",
    "register_selector",
    "selected_attention",
    "sparse_attention",
    "specialization",
    "synthesize_liar",
    "synthesize_multifc",
    "synthesize_truthfulqa",
    "truthfulqa_mc",
    "update_routers",
]

try:
    __version__ = version("sparse-transformers")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    """Import one of the names above, or the plots, when it is first asked for."""
    if name == "plot":  # needs matplotlib
        return import_module(f"{__name__}.plot")
    if name not in _IMPORTED_ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_IMPORTED_ON_USE[name]}")
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_IMPORTED_ON_USE, "plot"})
