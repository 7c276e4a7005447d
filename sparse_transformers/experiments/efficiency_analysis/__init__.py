"""How time and memory grow with the length."""

from sparse_transformers.experiments.efficiency_analysis import figures, report
from sparse_transformers.experiments.efficiency_analysis.measure import (
    AttentionScaling,
    AttentionScalingSettings,
    measure_attention_scaling,
)
from sparse_transformers.experiments.section import Part, Section

SECTION = Section(
    name="efficiency_analysis",
    title="Efficiency",
    presets={
        "smoke": AttentionScalingSettings(
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
        "default": AttentionScalingSettings(),
        "full": AttentionScalingSettings(
            lengths=(256, 512, 1024, 2048, 4096, 8192, 16384),
            longer_lengths=(32768, 65536),
            longest_mask=8192,
            memory_lengths=(1024, 2048, 4096, 8192, 16384, 32768, 65536),
            longest_counted_blocks=16384,
            repeats=15,
        ),
    },
    result=AttentionScaling,
    run=measure_attention_scaling,
    findings=report.findings,
    parts=[
        Part(
            "How does the time grow with the length?",
            "scaling.png",
            figures.draw_times,
            report.describe_times,
        ),
        Part(
            "How does the memory grow with the length?",
            "memory_scaling.png",
            figures.draw_memory_growth,
            report.describe_memory_growth,
        ),
        Part(
            "How much memory could sparsity save?",
            "memory_savings_heatmap.png",
            figures.draw_memory_table,
            report.describe_memory_table,
        ),
        Part(
            "How many operations does sparsity save?",
            "flops_reduction.png",
            figures.draw_operations,
            report.describe_operations,
        ),
    ],
    summary=report.summarise,
)
