"""The page holds the flows, and nothing in it asks the network for anything."""

import json
from html.parser import HTMLParser

import pytest

from sparse_transformers.utils.plots.expert_flow import token_flow_graph, token_flow_page

KIND = "<unk> & more"
STAGES = {"kind": [KIND] * 4, "layer 0": [0, 0, 0, 1]}
TITLE = "Where <it> goes </script>"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.title, self.within = [], "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.within = tag

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within == "title":
            self.title += data


@pytest.fixture(scope="module")
def page():
    return token_flow_page(token_flow_graph(STAGES), TITLE)


def drawing_of(page):
    """What the page passes to plotly: the list of drawings, and the layout."""
    decoder = json.JSONDecoder()
    rest = page[page.rindex("Plotly.newPlot(") :]
    drawings, end = decoder.raw_decode(rest, rest.index("["))
    layout, _ = decoder.raw_decode(rest, rest.index("{", end))
    return drawings, layout


def test_page_loads_nothing(page):
    tags = Page(page).tags
    assert [name for name, _ in tags].count("script") == 3
    assert not {"link", "img", "iframe"} & {name for name, _ in tags}
    assert all("src" not in attributes and "href" not in attributes for _, attributes in tags)
    assert "plotly.js v" in page


def test_page_holds_the_flows(page):
    (flows,), _ = drawing_of(page)
    assert flows["type"] == "sankey"
    assert flows["link"]["source"] == [0, 0]
    assert flows["link"]["target"] == [1, 2]
    assert flows["link"]["value"] == [0.75, 0.25]
    assert len(set(flows["node"]["color"])) == 3
    of_experts = ["rgba(0, 114, 178, 0.45)", "rgba(213, 94, 0, 0.45)"]
    assert flows["link"]["color"] == of_experts


def test_texts_are_shown_as_they_are(page):
    (flows,), _ = drawing_of(page)
    assert flows["node"]["label"][0] == "kind: &lt;unk&gt; &amp; more"
    assert "<h1>Where &lt;it&gt; goes &lt;/script&gt;</h1>" in page
    assert Page(page).title == "Where <it> goes </script>"


def test_an_expert_has_the_same_colour_in_every_layer():
    stages = {"kind": ["a", "a", "b"], "layer 0": [2, 1, 2], "layer 1": [1, 2, -1]}
    graph = token_flow_graph(stages)
    (flows,), _ = drawing_of(token_flow_page(graph, TITLE))
    colors = dict(zip(flows["node"]["label"], flows["node"]["color"], strict=True))
    assert colors["layer 0: expert 2"] == colors["layer 1: expert 2"]
    assert colors["layer 0: expert 1"] != colors["layer 0: expert 2"]
    neutral = {colors["kind: a"], colors["kind: b"], colors["layer 1: no expert"]}
    assert len(neutral) == 1


def test_page_fits_a_narrow_window_and_explains_itself(page):
    assert 'name="viewport" content="width=device-width' in page
    assert "Each column is a layer" in page
    assert '"responsive": true' in page


def test_same_flows_make_the_same_page(page):
    assert token_flow_page(token_flow_graph(STAGES), TITLE) == page


def test_every_edge_of_the_graph_is_a_flow_between_its_nodes():
    stages = {"kind": ["a", "a", "b", "b"], "layer 0": [1, -1, 1, 1]}
    (flows,), _ = drawing_of(token_flow_page(token_flow_graph(stages), TITLE))
    nodes = flows["node"]["label"]
    links = zip(*(flows["link"][end] for end in ("source", "target", "value")), strict=True)
    named = {(nodes[source], nodes[target]): share for source, target, share in links}
    assert named == {
        ("kind: a", "layer 0: expert 1"): 0.25,
        ("kind: a", "layer 0: no expert"): 0.25,
        ("kind: b", "layer 0: expert 1"): 0.5,
    }
