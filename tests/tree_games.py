"""Small games with their exact values: tic-tac-toe, and connect four on small boards."""

from functools import lru_cache

import numpy as np

from ipse.search import SearchForest, SearchRules

Board = tuple[int, ...]  # rows from the top; 0 empty, 1 the player to move, -1 the other


class LineGame:
    """``length`` stones in a row win; with gravity a stone falls to the bottom of its column."""

    def __init__(self, rows: int, columns: int, length: int, gravity: bool) -> None:
        self.rows, self.columns, self.gravity = rows, columns, gravity
        self.actions = columns if gravity else rows * columns
        self.lines = [
            tuple((r + k * dr) * columns + c + k * dc for k in range(length))
            for r in range(rows)
            for c in range(columns)
            for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1))
            if 0 <= r + (length - 1) * dr < rows and 0 <= c + (length - 1) * dc < columns
        ]
        self.solve = lru_cache(None)(self._solve)

    @property
    def start(self) -> Board:
        return (0,) * (self.rows * self.columns)

    def legal(self, board: Board) -> list[bool]:
        return [board[action] == 0 for action in range(self.actions)]

    def play(self, board: Board, action: int) -> Board:
        """The board after a move, as the other player sees it."""
        cell = action
        if self.gravity:
            while cell + self.columns < len(board) and board[cell + self.columns] == 0:
                cell += self.columns
        after = [-stone for stone in board]
        after[cell] = -1
        return tuple(after)

    def outcome(self, board: Board) -> int | None:
        """-1 if the player to move has lost, 0 for a draw, None if the game goes on."""
        if any(all(board[cell] == -1 for cell in line) for line in self.lines):
            return -1
        return None if 0 in board else 0

    def _solve(self, board: Board) -> int:
        ended = self.outcome(board)
        if ended is not None:
            return ended
        return max(-self.solve(self.play(board, a)) for a in self.moves(board))

    def moves(self, board: Board) -> list[int]:
        return [action for action, allowed in enumerate(self.legal(board)) if allowed]

    def best_moves(self, board: Board) -> set[int]:
        value = self.solve(board)
        return {a for a in self.moves(board) if -self.solve(self.play(board, a)) == value}


def search_boards(
    game: LineGame, boards: list[Board], rules: SearchRules, simulations: int, width: int = 1
) -> SearchForest:
    """Uniform priors, value 0 unless the game is over: all knowledge comes from the search."""
    forest = SearchForest(len(boards), rules)
    known: list[list[Board]] = [[] for _ in boards]
    while True:
        before = forest.counters().simulations.sum()
        leaves = forest.ask(width, limit=simulations)
        if not len(leaves.ticket):
            if forest.counters().simulations.sum() == before:
                return forest
            continue
        values, masks, terminal = [], [], []
        for tree, parent, action in zip(leaves.tree, leaves.parent, leaves.action, strict=True):
            above = boards[tree] if parent < 0 else known[tree][parent]
            board = above if parent < 0 else game.play(above, int(action))
            known[tree].append(board)
            ended = game.outcome(board)
            values.append(ended or 0)
            terminal.append(ended is not None)
            masks.append(game.legal(board) if ended is None else [True] * game.actions)
        forest.tell(
            leaves.ticket,
            values,
            num_children=np.full(len(values), game.actions),
            mask=np.array(masks),
            terminal=terminal,
        )
