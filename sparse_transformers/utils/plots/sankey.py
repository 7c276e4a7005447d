"""Flows as an interactive page that needs no network."""

import html
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from sparse_transformers.utils.plots.style import COLORS

if TYPE_CHECKING:
    from networkx import DiGraph

Link = tuple[int, int, float]
"""Where a flow comes from and goes to, as places in the list of nodes, and how much it is."""


def sankey_html(nodes: Sequence[str], links: Sequence[Link], title: str) -> str:
    """A page with a Sankey diagram: hover over a flow to see its share, drag nodes to sort them.

    The page holds plotly's code (some megabytes) and loads nothing. The same arguments give the
    same page.

    Args:
        nodes: what stands beside each node; a text may occur twice.
        links: the flows, as shares of the whole.
        title: of the page and above the diagram.

    Raises:
        ValueError: there are no links, or one names a node that is not there, or does not flow.
    """
    import plotly.graph_objects as go

    if not links:
        raise ValueError("links must hold at least one flow, got none")
    for source, target, share in links:
        if not (0 <= source < len(nodes) and 0 <= target < len(nodes)):
            raise ValueError(
                f"links must name nodes from 0 to {len(nodes) - 1}, got {source} to {target}"
            )
        if not 0 < share < float("inf"):
            raise ValueError(f"links must have shares above 0, got {share} from {source}")
    sources, targets, shares = zip(*links, strict=True)
    colors = [color for _, color in zip(nodes, cycle(COLORS), strict=False)]
    flows = go.Sankey(
        node={
            "label": [html.escape(node, quote=False) for node in nodes],
            "color": colors,
            "pad": 14,
            "thickness": 16,
        },
        link={
            "source": sources,
            "target": targets,
            "value": shares,
            "color": [_translucent(colors[source]) for source in sources],
        },
        valueformat=".1%",
    )
    heading = html.escape(title, quote=False)
    figure = go.Figure(flows, {"title": {"text": heading}, "font": {"size": 13}})
    page: str = figure.to_html(
        include_plotlyjs=True, include_mathjax=False, div_id="flows", config={"displaylogo": False}
    )
    return page.replace("</head>", f"<title>{heading}</title></head>", 1)


def flow_nodes_and_links(graph: "DiGraph") -> tuple[list[str], list[Link]]:
    """The nodes and links of a graph from `expert_flow.token_flow_graph`, for `sankey_html`."""
    places = {node: place for place, node in enumerate(graph)}
    nodes = [f"{stage}: {label}" for (stage, _), label in graph.nodes(data="label")]
    links = [
        (places[source], places[target], share)
        for source, target, share in graph.edges(data="share")
    ]
    return nodes, links


def _translucent(color: str) -> str:
    """A colour such as "#0072B2" that shows what lies behind it."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.45)"
