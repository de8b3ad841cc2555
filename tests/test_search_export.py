"""Trees for the eye."""

from html.parser import HTMLParser

import networkx
import pytest

from ipse.search import (
    SearchForest,
    Table,
    best_path,
    mcts_star,
    table,
    to_graphviz,
    to_html,
    to_networkx,
)
from tests.tree_cases import hashed, search


@pytest.fixture(scope="module")
def found() -> Table:
    rules = mcts_star()
    forest = SearchForest(1, rules)
    search(forest, lambda _, path: hashed(4, rules)(path), 30)
    return table(forest)


class Unfolded(HTMLParser):
    """Depth of nesting, texts, and whatever would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.lines, self.loaded, self.text = 0, 0, [], ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open += tag == "details"
        self.lines += dict(attributes).get("class") == "numbers"
        self.loaded += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.open -= tag == "details"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_row_and_loads_nothing(found: Table) -> None:
    page = Unfolded()
    text = to_html(found, label=lambda row: f"<step {row}> & more", highlight=best_path(found))
    page.feed(text)
    assert page.open == 0
    assert page.lines == len(found.parent)
    assert not page.loaded
    assert "http" not in text
    assert "<script" not in text
    assert all(f"<step {row}> & more" in page.text for row in range(len(found.parent)))


def test_a_very_deep_tree_is_no_matter() -> None:
    forest = SearchForest(1)
    for _ in range(3000):
        forest.tell(forest.ask().ticket, [0.0], num_children=[1])
    page = Unfolded()
    page.feed(to_html(table(forest), least_visits=1))
    assert page.lines == 3000


def test_networkx_gets_the_tree(found: Table) -> None:
    graph = to_networkx(found, label=str)
    assert networkx.is_arborescence(graph)
    assert graph.number_of_nodes() == len(found.parent)
    assert graph.nodes[0]["visits"] == found.visits[0]
    assert graph.nodes[3]["label"] == "3"


def test_graphviz_names_every_row(found: Table) -> None:
    text = to_graphviz(found, label=lambda row: f'say "{row}"')
    assert text.count("->") == len(found.parent) - 1
    assert '0 [label="say \\"0\\"\\n' in text
    few = to_graphviz(found, least_visits=3)
    assert few.count("[label") == (found.visits >= 3).sum()
