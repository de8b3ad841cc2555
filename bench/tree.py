"""The search forest: simulations per second of the engine, against mctx, LightZero, plain Python.

Evaluators are look-ups in one table, batched over the trees on both sides. The comparison with
mctx needs jax and mctx, that with LightZero `pip install --no-deps LightZero`; what is missing is
left out.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from bench import harness, tree_lightzero, tree_peers
from bench.tree_peers import STATES, World
from ipse.search import SearchForest, mctx_muzero

TITLE = "tree: one search of every tree, PUCT as mctx, ms and times as long"
ENGINE = [(4, 64, 200), (18, 64, 200), (82, 64, 200)]  # actions, trees, simulations
BOUNDS = {4: 1.8e6, 18: 0.7e6, 82: 0.1e6}


def search(
    world: World, batch: int, simulations: int, threads: int, clock: Callable[[], float]
) -> tuple[SearchForest, float]:
    """The searched forest, and the seconds spent in ask and tell."""
    rules = mctx_muzero(dirichlet_fraction=0.0, max_nodes=simulations + 1)
    forest = SearchForest(batch, rules, num_threads=threads)
    states = np.empty((batch, simulations + 1), np.int32)
    leaves = forest.ask()
    now = states[:, 0] = tree_peers.roots(batch)
    forest.tell(leaves.ticket, world.values[now], priors=world.priors[now])
    spent = 0.0
    for node in range(1, simulations + 1):
        started = clock()
        leaves = forest.ask()
        asked = clock()
        now = (states[leaves.tree, leaves.parent] * world.actions + leaves.action + 1) % STATES
        states[:, node] = now
        values, priors = world.values[now], world.priors[now]
        told = clock()
        forest.tell(leaves.ticket, values, priors=priors)
        spent += asked - started + clock() - told
    return forest, spent


def bench_engine(actions: int, batch: int, simulations: int, rounds: int) -> None:
    """Simulations per second of one core, in ask and tell, processor time."""
    world = tree_peers.make_world(actions)
    times = [search(world, batch, simulations, 1, time.thread_time)[1] for _ in range(rounds)]
    forest = search(world, batch, simulations, 1, time.thread_time)[0]
    counters = forest.counters()
    nodes, edges = int(counters.nodes.sum()), int(counters.edges.sum())
    depth = statistics.mean(float(forest.arrays(t)["depth"].mean()) for t in range(batch))
    rate = batch * simulations / statistics.median(times)
    best = batch * simulations / min(times)
    print(
        f"A={actions:3d} B={batch} S={simulations}: {rate / 1e6:.2f} M simulations/s/core "
        f"(best {best / 1e6:.2f}, bound {BOUNDS[actions] / 1e6:.1f})  mean depth {depth:.1f}  "
        f"{forest.memory_bytes() / nodes:.0f} bytes a node held, "
        f"{48 + 16 * edges / nodes:.0f} used with its {edges / nodes:.0f} edges"
    )


def bench_call(rounds: int) -> None:
    """What one ask and one tell cost for a single tree, processor time."""
    world = tree_peers.make_world(4)
    spent = [search(world, 1, 400, 1, time.thread_time)[1] / 400 for _ in range(rounds)]
    print(f"one tree, A=4: {statistics.median(spent) * 1e6:.1f} us for ask and tell together")


def agreement(world: World, batch: int, simulations: int) -> Callable[[], object]:
    """mctx's search, once its visits were found to be ours."""
    theirs = tree_peers.mctx_search(world, batch, simulations)
    visits, values = (torch.tensor(np.asarray(array)) for array in theirs())
    root = search(world, batch, simulations, 1, time.perf_counter)[0].root()
    harness.require_agreement(
        f"A={world.actions} S={simulations}",
        {
            "mctx": [visits.double(), values.double()],
            "ipse": [
                torch.tensor(root.visits).double(),
                torch.tensor(root.root_values).double(),
            ],
        },
        "ipse",
        1e-5,
    )
    return theirs


def bench_mctx(simulations: int, threads: int, budget: float) -> harness.Row:
    world, batch = tree_peers.make_world(16), 64
    theirs = agreement(world, batch, simulations)
    candidates: dict[str, Callable[[], object]] = {
        "ipse": lambda: search(world, batch, simulations, threads, time.perf_counter),
        "mctx": theirs,
    }
    seconds, spread = harness.time_interleaved(candidates, budget)
    rate = {f"{name}/s": batch * simulations / value for name, value in seconds.items()}
    ours, other = (processor_seconds(run) for run in candidates.values())
    extra = {**rate, "ratio of processor time": other / ours}
    return harness.Row(f"A=16 B=64 S={simulations}", seconds, spread, extra=extra)


def processor_seconds(run: Callable[[], object], rounds: int = 5) -> float:
    """Median over all threads: what a machine busy with other work cannot stretch as much."""
    spent = []
    for _ in range(rounds):
        before = time.process_time()
        run()
        spent.append(time.process_time() - before)
    return statistics.median(spent)


def bench_python(actions: int, budget: float) -> harness.Row:
    world, batch, simulations = tree_peers.make_world(actions), 64, 200
    starts = tree_peers.roots(batch).tolist()
    visits = search(world, batch, simulations, 1, time.perf_counter)[0].root().visits
    plain = [tree_peers.plain_search(world, root, simulations) for root in starts[:8]]
    # Doubles there, floats here: a near tie may fall the other way in a tree.
    same = sum(row == list(mine) for row, mine in zip(plain, visits, strict=False))
    if same < 7:
        raise harness.DisagreementError(f"plain Python: {same} of 8 trees are the same")
    candidates: dict[str, Callable[[], object]] = {
        "ipse": lambda: search(world, batch, simulations, 1, time.perf_counter),
        "plain Python": lambda: [
            tree_peers.plain_search(world, root, simulations) for root in starts
        ],
    }
    seconds, spread = harness.time_interleaved(candidates, budget, least=3)
    return harness.Row(f"A={actions} B=64 S=200", seconds, spread)


def bench_lightzero(actions: int, budget: float) -> harness.Row:
    """One thread each; the evaluator, table look-ups and lists where lists are wanted, included."""
    world, starts = tree_peers.make_world(actions), tree_peers.roots(64)
    apart = tree_lightzero.largest_difference(world)
    if apart > 5:
        raise harness.DisagreementError(f"LightZero: {apart:.1f} standard errors apart")
    candidates: dict[str, Callable[[], object]] = {
        "ipse": lambda: tree_lightzero.forest_search(world, starts, 200, 1),
        "LightZero": lambda: tree_lightzero.lightzero_search(world, starts, 200),
    }
    seconds, spread = harness.time_interleaved(candidates, budget)
    rate = {f"{name}/s": 64 * 200 / value for name, value in seconds.items()}
    extra = {**rate, "standard errors apart": apart}
    return harness.Row(f"A={actions} B=64 S=200, LightZero's rules", seconds, spread, extra=extra)


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    budget, rounds = (2.0, 5) if arguments.quick else (10.0, 15)
    for actions, batch, simulations in ENGINE:
        bench_engine(actions, batch, simulations, rounds)
    bench_call(rounds)
    rows = [bench_python(actions, budget) for actions in (4, 16)]
    if tree_lightzero.tree_module() is not None:
        rows += [bench_lightzero(actions, budget) for actions, _, _ in ENGINE]
    if importlib.util.find_spec("mctx") is not None:
        rows += [bench_mctx(simulations, arguments.threads, budget) for simulations in (200, 800)]
    harness.print_table(TITLE, rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
