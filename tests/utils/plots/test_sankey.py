"""The page holds the flows, and nothing in it asks the network for anything."""

import json
from html.parser import HTMLParser

import pytest

from sparse_transformers.utils.plots.expert_flow import token_flow_graph
from sparse_transformers.utils.plots.sankey import flow_nodes_and_links, sankey_html

NODES = ["kind: <unk> & more", "layer 0: expert 0", "layer 0: expert 1"]
LINKS = [(0, 1, 0.75), (0, 2, 0.25)]


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
    return sankey_html(NODES, LINKS, "Where <it> goes </script>")


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
    assert len(set(flows["node"]["color"])) == len(NODES)
    assert flows["link"]["color"] == ["rgba(0, 114, 178, 0.45)"] * 2


def test_texts_are_shown_as_they_are(page):
    (flows,), layout = drawing_of(page)
    assert flows["node"]["label"][0] == "kind: &lt;unk&gt; &amp; more"
    assert layout["title"]["text"] == "Where &lt;it&gt; goes &lt;/script&gt;"
    assert Page(page).title == "Where <it> goes </script>"


def test_same_flows_make_the_same_page(page):
    assert sankey_html(NODES, LINKS, "Where <it> goes </script>") == page


def test_graph_becomes_nodes_and_links():
    graph = token_flow_graph({"kind": ["a", "a", "b", "b"], "layer 0": [1, -1, 1, 1]})
    nodes, links = flow_nodes_and_links(graph)
    named = {(nodes[source], nodes[target]): share for source, target, share in links}
    assert named == {
        ("kind: a", "layer 0: expert 1"): 0.25,
        ("kind: a", "layer 0: no expert"): 0.25,
        ("kind: b", "layer 0: expert 1"): 0.5,
    }


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([], "at least one flow, got none"),
        ([(0, 3, 0.5)], "nodes from 0 to 2, got 0 to 3"),
        ([(-1, 2, 0.5)], "nodes from 0 to 2, got -1 to 2"),
        ([(0, 1, 0.0)], "shares above 0, got 0.0 from 0"),
        ([(0, 1, float("nan"))], "shares above 0, got nan from 0"),
        ([(0, 1, float("inf"))], "shares above 0, got inf from 0"),
    ],
)
def test_flows_without_sense_are_refused(links, message):
    with pytest.raises(ValueError, match=message):
        sankey_html(NODES, links, "title")
