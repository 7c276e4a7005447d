"""The tour of sparse attention: measures, draws and tells, and writes all of it to one folder.

    python demo.py                     about four minutes on two cores
    python demo.py --preset smoke      a look in under a minute
    python demo.py --text FILE         the models read this file instead of Python's help topics

Every number in the report was measured or counted in the run that wrote it. `results.json` holds
them all, and figures and report are made from that file alone.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before anything draws: figures go to files, and no window opens

from sparse_transformers.experiments import attention_scaling as scaling
from sparse_transformers.experiments import attention_scaling_figures as scaling_figures
from sparse_transformers.experiments import attention_scaling_report as scaling_report
from sparse_transformers.experiments import model_comparison as comparison
from sparse_transformers.experiments import model_comparison_figures as comparison_figures
from sparse_transformers.experiments import model_comparison_report as comparison_report
from sparse_transformers.experiments import pattern_survey as survey
from sparse_transformers.experiments import pattern_survey_figures as survey_figures
from sparse_transformers.experiments import pattern_survey_report as survey_report
from sparse_transformers.experiments.tour import REPORT, Part, Section, prepare_tour, run_tour
from sparse_transformers.training.data import ByteCorpus, default_text, load_bytes, text_to_bytes
from sparse_transformers.utils.runtime import seed_everything

PRESETS = ("smoke", "default", "full")

SECTIONS = [
    Section(
        name="attention_patterns",
        title="Attention patterns",
        presets={
            "smoke": survey.PatternSurveySettings(measured_len=1024, repeats=3),
            "default": survey.PatternSurveySettings(),
            "full": survey.PatternSurveySettings(n_heads=8, repeats=15),
        },
        result=survey.PatternSurvey,
        run=lambda visit: survey.survey_patterns(visit.settings, seed=visit.seed, say=visit.say),
        parts=[
            Part(
                "Which earlier tokens may each token attend to?",
                "attention_patterns_comparison.png",
                survey_figures.draw_pictures,
                survey_report.describe_pictures,
            ),
            Part(
                "What does skipping pairs bring?",
                "sparsity_analysis.png",
                survey_figures.draw_costs,
                survey_report.describe_costs,
            ),
            Part(
                "How far back does a token hear?",
                "reach.png",
                survey_figures.draw_reach,
                survey_report.describe_reach,
            ),
        ],
    ),
    Section(
        name="efficiency_analysis",
        title="Efficiency",
        presets={
            "smoke": scaling.AttentionScalingSettings(
                lengths=(256, 512, 1024, 2048),
                longer_lengths=(4096,),
                fit_from=512,
                longest_mask=1024,
                memory_lengths=(512, 1024, 2048),
                longest_stored=2048,
                counted_lengths=(1024, 2048, 4096, 16384),
                longest_counted_blocks=2048,
                repeats=3,
            ),
            "default": scaling.AttentionScalingSettings(),
            "full": scaling.AttentionScalingSettings(
                lengths=(256, 512, 1024, 2048, 4096, 8192, 16384),
                longer_lengths=(32768, 65536),
                longest_mask=8192,
                memory_lengths=(1024, 2048, 4096, 8192, 16384, 32768, 65536),
                longest_counted_blocks=16384,
                repeats=15,
            ),
        },
        result=scaling.AttentionScaling,
        run=lambda visit: scaling.measure_attention_scaling(
            visit.settings, seed=visit.seed, say=visit.say
        ),
        parts=[
            Part(
                "How does the time grow with the length?",
                "scaling.png",
                scaling_figures.draw_times,
                scaling_report.describe_times,
            ),
            Part(
                "How does the memory grow with the length?",
                "memory_scaling.png",
                scaling_figures.draw_memory_growth,
                scaling_report.describe_memory_growth,
            ),
            Part(
                "How much memory could sparsity save?",
                "memory_savings_heatmap.png",
                scaling_figures.draw_memory_table,
                scaling_report.describe_memory_table,
            ),
            Part(
                "How many operations does sparsity save?",
                "flops_reduction.png",
                scaling_figures.draw_operations,
                scaling_report.describe_operations,
            ),
        ],
    ),
    Section(
        name="model_comparison",
        title="Dense and sparse models",
        presets={
            "smoke": comparison.ModelComparisonSettings(
                seq_len=1024, n_seeds=1, seconds=3, eval_every=10
            ),
            "default": comparison.ModelComparisonSettings(),
            "full": comparison.ModelComparisonSettings(n_seeds=5, seconds=45, valid_windows=8),
        },
        result=comparison.ModelComparison,
        run=lambda visit: comparison.compare_models(
            visit.settings,
            visit.corpus,
            seed=visit.seed,
            say=visit.say,
            progress=visit.progress,
        ),
        check=lambda settings, corpus: corpus.check_holds_windows(settings.seq_len),
        parts=[
            Part(
                "Which model learns most in the same time?",
                "architecture_comparison.png",
                comparison_figures.draw_comparison,
                comparison_report.describe_comparison,
            )
        ],
    ),
]
"""In the order of the tour. A new section is one more entry."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tour; the exit status is 2 if the input is at fault, with one line on stderr."""
    arguments = _parse(argv)
    try:
        seed_everything(arguments.seed)
        corpus = _load(arguments.text)
        folder = prepare_tour(
            SECTIONS, arguments.preset, corpus, arguments.output, only=arguments.sections
        )
    except (ValueError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 2
    run_tour(
        SECTIONS,
        arguments.preset,
        corpus,
        folder,
        only=arguments.sections,
        seed=arguments.seed,
        say=_clock(),
        progress=sys.stderr.isatty(),
    )
    print(f"The report is {folder / REPORT}")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(
        prog="demo.py", description="Measure sparse attention, and write figures and a report."
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="default",
        help="how much to measure: under 1 minute, under 4, or about 15 on two cores "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--text", metavar="FILE", help="any file, read as bytes (default: Python's help topics)"
    )
    parser.add_argument(
        "--output", metavar="DIR", default="outputs", help="where to write (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of every random choice (default: %(default)s)"
    )
    parser.add_argument(
        "--sections", nargs="+", choices=names, default=names, help="run only these"
    )
    return parser.parse_args(argv)


def _load(text: str | None) -> ByteCorpus:
    if text is not None:
        return ByteCorpus(load_bytes(text), name=Path(text).name)
    return ByteCorpus(text_to_bytes(default_text()), name="the help topics of Python")


def _clock() -> Callable[[str], None]:
    """A function that prints a line with the seconds since the start."""
    started = time.perf_counter()
    return lambda step: print(f"[{time.perf_counter() - started:5.0f} s] {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
