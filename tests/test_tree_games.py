"""Play and values where the truth is known."""

import dataclasses

import numpy as np
import pytest

from ipse.search import (
    SearchForest,
    SearchRules,
    alphazero,
    mctx_gumbel,
    open_spiel_puct,
    open_spiel_uct,
)
from tests.tree_games import Board, LineGame, search_boards

TIC_TAC_TOE = LineGame(3, 3, 3, gravity=False)
SIMULATIONS = 1500
# A player's gain is the other's loss: every edge turns the sign.
RULES = {
    "uct": open_spiel_uct(1.0, discount=-1.0),
    "puct": open_spiel_puct(2.0, discount=-1.0),
    "alphazero": alphazero(2.0, discount=-1.0, dirichlet_fraction=0.0),
    "minimax": open_spiel_uct(1.0, discount=-1.0, backup="max"),
}


def positions(game: LineGame, count: int, stones: int, seed: int = 0) -> list[Board]:
    """Reachable positions that are not over."""
    generator = np.random.default_rng(seed)
    found: list[Board] = []
    while len(found) < count:
        board = game.start
        for _ in range(stones):
            if game.outcome(board) is None:
                board = game.play(board, int(generator.choice(game.moves(board))))
        if game.outcome(board) is None and board not in found:
            found.append(board)
    return found


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_tic_tac_toe_is_played_perfectly(rules: SearchRules) -> None:
    boards = [TIC_TAC_TOE.start, *positions(TIC_TAC_TOE, 8, 2), *positions(TIC_TAC_TOE, 8, 4)]
    forest = search_boards(TIC_TAC_TOE, boards, rules, SIMULATIONS)
    for board, visits in zip(boards, forest.root().visits, strict=True):
        assert int(visits.argmax()) in TIC_TAC_TOE.best_moves(board), board


def test_several_leaves_at_once_play_as_well() -> None:
    boards = positions(TIC_TAC_TOE, 8, 3)
    forest = search_boards(TIC_TAC_TOE, boards, RULES["puct"], SIMULATIONS, width=8)
    for board, visits in zip(boards, forest.root().visits, strict=True):
        assert int(visits.argmax()) in TIC_TAC_TOE.best_moves(board), board


def test_minimax_backup_finds_the_exact_value() -> None:
    """Late positions are searched to the end: the maximum over children is the true value."""
    boards = positions(TIC_TAC_TOE, 12, 5)
    forest = search_boards(TIC_TAC_TOE, boards, RULES["minimax"], 3000)
    values = [TIC_TAC_TOE.solve(board) for board in boards]
    np.testing.assert_array_equal(forest.root().root_values, values)


def test_gumbel_wins_where_one_move_wins() -> None:
    game = TIC_TAC_TOE
    boards = [b for b in positions(game, 40, 4) if len(wins(game, b)) == 1]
    rules = mctx_gumbel(200, discount=-1.0, gumbel_scale=0.0, num_considered=9)
    actions, policy = search_boards(game, boards, rules, 200).gumbel_policy()
    assert len(boards) > 5
    for board, action, improved in zip(boards, actions, policy, strict=True):
        assert action in game.best_moves(board)
        assert int(improved.argmax()) in game.best_moves(board)


def wins(game: LineGame, board: Board) -> list[int]:
    return [a for a in game.moves(board) if game.outcome(game.play(board, a)) == -1]


@pytest.mark.parametrize(("rows", "columns", "length"), [(4, 4, 3), (3, 5, 3)])
def test_connect_k_is_played_perfectly(rows: int, columns: int, length: int) -> None:
    game = LineGame(rows, columns, length, gravity=True)
    boards = [game.start, *positions(game, 6, 4, seed=1)]
    rules = dataclasses.replace(RULES["uct"], exploration=0.7)
    forest = search_boards(game, boards, rules, 3000)
    for board, visits, value in zip(
        boards, forest.root().visits, forest.root().root_values, strict=True
    ):
        assert int(visits.argmax()) in game.best_moves(board), board
        if game.solve(board) != 0:
            assert np.sign(value) == game.solve(board)


def test_two_players_may_move_twice() -> None:
    """``to_play`` decides the sign, not the depth."""
    forest = SearchForest(1, open_spiel_uct(1.0))
    forest.tell(forest.ask().ticket, [0.0], num_children=[2], to_play=[0])
    first = forest.ask()
    forest.tell(first.ticket, [0.5], num_children=[0], to_play=[0])
    second = forest.ask()
    forest.tell(second.ticket, [0.5], num_children=[0], to_play=[1])
    np.testing.assert_array_equal(forest.root().values[0], [0.5, -0.5])
