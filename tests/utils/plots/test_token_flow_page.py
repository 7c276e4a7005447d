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
    assert flows["link"]["color"] == ["rgba(0, 114, 178, 0.45)"] * 2


def test_texts_are_shown_as_they_are(page):
    (flows,), layout = drawing_of(page)
    assert flows["node"]["label"][0] == "kind: &lt;unk&gt; &amp; more"
    assert layout["title"]["text"] == "Where &lt;it&gt; goes &lt;/script&gt;"
    assert Page(page).title == "Where <it> goes </script>"


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
