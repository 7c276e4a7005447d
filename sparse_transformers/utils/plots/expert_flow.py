"""Flows of tokens, from their class through the experts of one layer after another.

`token_flow_graph` counts them; they can be drawn as a figure, or as an interactive page.
"""

import html
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sparse_transformers.utils.plots.style import COLORS, REFERENCE_COLOR, TEXT_SIZE, new_axes

if TYPE_CHECKING:
    from networkx import DiGraph

NO_EXPERT = "no expert"
WIDEST_POINTS = 11.0

Node = tuple[str, int | str]


def token_flow_graph(stages: Mapping[str, ArrayLike]) -> "DiGraph":
    """The shares of the tokens that go from each node of a stage to each node of the next.

        token_flow_graph({"kind": kinds, "layer 0": experts_0, "layer 1": experts_1})

    Args:
        stages: by name, in order: the label of every token, all of shape (tokens,). Numbers are
            experts, and -1 is no expert; anything else is a class.

    Returns:
        A graph whose nodes are (stage, label) pairs, with the attributes `stage` (its place in the
        order), `label` (a text) and `share` (of the tokens). Edges have `share`; those from one
        stage to the next sum to 1.

    Raises:
        ValueError: there are fewer than two stages, no tokens, or other tokens in some stage.
    """
    import networkx as nx

    columns = {name: np.asarray(labels) for name, labels in stages.items()}
    shapes = {column.shape for column in columns.values()}
    if len(columns) < 2 or len(shapes) != 1 or len(min(shapes)) != 1 or min(shapes) == (0,):
        raise ValueError(
            "stages must be at least two, with one label each for the same tokens, "
            f"got shapes {[column.shape for column in columns.values()]}"
        )
    (n_tokens,) = shapes.pop()
    graph = nx.DiGraph()
    codes = []
    for place, (stage, column) in enumerate(columns.items()):
        values, code, counts = np.unique(column, return_inverse=True, return_counts=True)
        nodes = [(stage, value) for value in values.tolist()]
        for node, count in zip(nodes, counts, strict=True):
            graph.add_node(node, stage=place, label=_label(node[1]), share=float(count / n_tokens))
        codes.append((nodes, code))
    for (sources, of_source), (targets, of_target) in pairwise(codes):
        pairs, counts = np.unique(np.stack([of_source, of_target]), axis=1, return_counts=True)
        for (source, target), count in zip(pairs.T, counts, strict=True):
            graph.add_edge(sources[source], targets[target], share=float(count / n_tokens))
    return graph


def plot_token_flow(
    graph: "DiGraph",
    *,
    min_share: float = 0.005,
    title: str = "Flow of the tokens",
    ax: Axes | None = None,
) -> Axes:
    """Draw the stages as columns; the width of a line is the share of the tokens that take it.

    A line has the colour of the expert it comes from, or goes to from a class; an expert has the
    same colour in every layer. Experts stand in an order that has few lines cross.

    Args:
        graph: as `token_flow_graph` makes it.
        min_share: lines with less of the tokens are left out, and the figure says how much that is.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    import networkx as nx

    ax = new_axes(ax)
    columns = _columns(graph)
    positions = {
        node: (place, (row + 0.5) / len(nodes))
        for place, nodes in enumerate(columns.values())
        for row, node in enumerate(nodes)
    }
    colors = _colors(graph)
    shares = {(source, target): share for source, target, share in graph.edges(data="share")}
    drawn = {edge: share for edge, share in shares.items() if share >= min_share}
    lines = nx.draw_networkx_edges(
        graph,
        positions,
        edgelist=list(drawn),
        width=[WIDEST_POINTS * share / max(shares.values()) for share in drawn.values()],
        edge_color=[colors[_expert_of(edge)] for edge in drawn],
        arrows=False,
        ax=ax,
    )
    lines.set(alpha=0.6, capstyle="butt")
    for node, position in positions.items():
        ax.text(
            *position,
            f"{graph.nodes[node]['label']}  {graph.nodes[node]['share']:.0%}",
            ha="center",
            va="center",
            fontsize=TEXT_SIZE,
            parse_math=False,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": colors[node]},
        )
    ax.tick_params(bottom=False, top=False, labeltop=True, labelbottom=False)
    ax.set_xticks(range(len(columns)), columns)
    ax.set(xlim=(-0.25, len(columns) - 0.75), ylim=(1, 0))
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=10)
    hidden = (sum(shares.values()) - sum(drawn.values())) / (len(columns) - 1)
    if hidden:
        ax.set_xlabel(
            f"not drawn: lines with less than {min_share:.1%} of the tokens, {hidden:.1%} in all",
            fontsize=TEXT_SIZE,
        )
    return ax


def token_flow_page(graph: "DiGraph", title: str) -> str:
    """A page with a Sankey diagram: hover over a flow to see its share, drag nodes to sort them.

    The page holds plotly's code (some megabytes) and loads nothing. The same arguments give the
    same page.

    Args:
        graph: as `token_flow_graph` makes it.
        title: of the page and above the diagram.
    """
    import plotly.graph_objects as go

    places = {node: place for place, node in enumerate(graph)}
    colors = _colors(graph)
    sources, targets, shares = zip(*graph.edges(data="share"), strict=True)
    flows = go.Sankey(
        node={
            "label": [
                html.escape(f"{stage}: {label}", quote=False)
                for (stage, _), label in graph.nodes(data="label")
            ],
            "color": list(colors.values()),
            "pad": 14,
            "thickness": 16,
        },
        link={
            "source": [places[source] for source in sources],
            "target": [places[target] for target in targets],
            "value": shares,
            "color": [_translucent(colors[_expert_of(edge)]) for edge in graph.edges],
        },
        valueformat=".1%",
    )
    heading = html.escape(title, quote=False)
    margins = {"l": 8, "r": 8, "t": 8, "b": 8}
    figure = go.Figure(flows, {"font": {"size": 12}, "margin": margins})
    diagram: str = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        div_id="flows",
        default_width="100%",
        default_height="100%",
        config={"displaylogo": False, "responsive": True},
    )
    return PAGE.format(heading=heading, diagram=diagram)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<style>
html, body {{ height: 100%; margin: 0; }}
body {{ display: flex; flex-direction: column; font: 15px/1.4 sans-serif; }}
header {{ padding: 8px 12px 0; }}
h1 {{ font-size: 18px; margin: 0 0 4px; }}
p {{ margin: 0; }}
main {{ flex: 1; min-height: 420px; position: relative; overflow: hidden; }}
main > div {{ position: absolute; inset: 0; }}
</style>
</head>
<body>
<header>
<h1>{heading}</h1>
<p>Each column is a layer, each band a group of tokens on the way from one expert to the next; the
wider it is, the more tokens take it. A band has the colour of the expert it comes from, or goes to
from the first column; an expert has the same colour in every layer. Point at a band to read its
share of the tokens; drag a block to move it.</p>
</header>
<main>{diagram}</main>
</body>
</html>
"""


def _colors(graph: "DiGraph") -> dict[Node, str]:
    """The colour of each node: of an expert by its number, of all others a neutral one."""
    return {
        node: COLORS[node[1] % len(COLORS)] if _is_expert(node) else REFERENCE_COLOR
        for node in graph
    }


def _expert_of(edge: tuple[Node, Node]) -> Node:
    """The expert that an edge comes from, or the node that it goes to from a class."""
    source, target = edge
    return source if _is_expert(source) else target


def _is_expert(node: Node) -> TypeGuard[tuple[str, int]]:
    return isinstance(node[1], int) and node[1] >= 0


def _columns(graph: "DiGraph") -> dict[str, list[Node]]:
    """The nodes of each stage from the top, near those that most of their tokens come from."""
    columns: dict[str, list[Node]] = {}
    for node in graph:
        columns.setdefault(node[0], []).append(node)
    for before, after in pairwise(columns):
        rows = {node: row for row, node in enumerate(columns[before])}
        heights = {
            node: sum(rows[source] * share for source, _, share in graph.in_edges(node, "share"))
            / graph.nodes[node]["share"]
            for node in columns[after]
        }
        columns[after].sort(key=heights.__getitem__)
    return columns


def _label(value: int | str) -> str:
    if not isinstance(value, int):
        return str(value)
    return NO_EXPERT if value == -1 else f"expert {value}"


def _translucent(color: str) -> str:
    """A colour such as "#0072B2" with 45% opacity."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.45)"
