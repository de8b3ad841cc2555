# make demo    set up, pre-train on handwritten digits, say where the report is
# make test    set up, lint, build the sanitizer check, run the whole test suite
# make bench   the speed and memory tables of bench/ (minutes)
# make dev     as the set-up, but the core is rebuilt at import when a C++ file changed
#
# Needs Python 3.11+, a C++17 compiler, make and a package index; everything else goes
# into .venv. PYTHON=python3.12 make … picks another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CPP_FILES = $(shell find csrc -name '*.h' -o -name '*.cpp')
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(shell find csrc -name '*.h' -o -name '*.cpp')

.PHONY: demo test setup dev lint format sanitize pytest bench claims clean

# Waiting threads sleep: on a machine with other work to do, spinning ones make small
# training steps many times slower (measured: 30 s become 130 s and more).
demo pytest: export OMP_WAIT_POLICY := PASSIVE

demo: setup
	$(BIN)/ipse run barlow-twins

test: setup lint sanitize pytest

setup: $(VENV)/.installed

$(VENV)/.requirements: .ci/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ipse needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement .ci/requirements.txt
	touch $@

# The environment's own CMake and Ninja build the core; no torch is involved.
$(VENV)/.installed: $(VENV)/.requirements $(BUILD_INPUTS)
	PATH="$(CURDIR)/$(BIN):$$PATH" IPSE_WERROR=ON $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

dev: $(VENV)/.requirements
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -Ceditable.rebuild=true --editable .

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

# The core alone under AddressSanitizer and UBSan, every instruction set.
sanitize: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/sanitizer/run.sh $(BIN)/python

pytest: setup
	$(BIN)/python -m pytest

bench: setup
	$(BIN)/python -m bench.gemm
	$(BIN)/python -m bench.barlow_twins
	$(BIN)/python -m bench.mixed_barlow_twins
	$(BIN)/python -m bench.vicreg
	$(BIN)/python -m bench.similarity
	$(BIN)/python -m bench.soft_cross_entropy
	$(BIN)/python -m bench.sinkhorn
	$(BIN)/python -m bench.topk_similarity
	$(BIN)/python -m bench.kmeans
	$(BIN)/python -m bench.clusters
	$(BIN)/python -m bench.neighbours
	$(BIN)/python -m bench.crops
	$(BIN)/python -m bench.styles
	$(BIN)/python -m bench.scattering2d
	$(BIN)/python -m bench.pruning_masks
	$(BIN)/python -m bench.channel_response
	$(BIN)/python -m bench.token_subsets
	$(BIN)/python -m bench.elastic_linear
	$(BIN)/python -m bench.tree

claims: setup
	status=0; for claim in bench/claims/[!_]*.py; do $(BIN)/python $$claim || status=1; done; exit $$status

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
