# The verbs of this project; `just` lists them. All of them use the virtual environment in .venv.

bin := ".venv/bin"

_default:
    @just --list --unsorted

# make .venv with everything that development needs
setup:
    python3 -m venv .venv
    {{bin}}/pip install -q -e '.[dev]'

# what CI runs: lint, floors, types, tests with the core's coverage
check: lint types test

# style, formatting, and the floors that imports must keep
lint:
    {{bin}}/ruff check
    {{bin}}/ruff format --check
    {{bin}}/lint-imports

# static types, strictly
types:
    {{bin}}/mypy

# all tests; the core must be covered branch by branch by its own
test:
    {{bin}}/coverage run -m pytest tests/core
    {{bin}}/coverage report --include='reminderd/core/*' --fail-under=100
    {{bin}}/pytest --ignore=tests/core

# the tests on every newer Python that is installed, each in an environment of its own
test-newer:
    .ci/newer-pythons

# write the code in the one style
format:
    {{bin}}/ruff check --fix
    {{bin}}/ruff format

# start the daemon here, with config.toml if there is one
run *args:
    {{bin}}/reminderd run {{args}}

# watch every kind of call happen, in seconds, with nothing set up
demo:
    {{bin}}/reminderd demo

# measure speed as ratios against stated yardsticks; prints a table, writes bench/results.json
bench *args:
    {{bin}}/python -m bench {{args}}

# kill the real program again and again between its clinic and a terrible provider: `just chaos --seed 7 --minutes 30`
chaos *args:
    {{bin}}/python -m tests.chaos {{args}}

# make dist/reminderd: one file that runs where no Python is
build:
    python3 -m venv --clear .venv-build
    .venv-build/bin/pip install -q --require-hashes -r deploy/requirements.txt
    .venv-build/bin/pip install -q '.[alerts,build]'
    .venv-build/bin/pyinstaller --noconfirm --log-level ERROR --workpath .venv-build/work deploy/reminderd.spec

# pin what reminderd stands on, with hashes, in deploy/requirements.txt; `just requirements --upgrade` takes the newest
requirements *args:
    {{bin}}/pip install -q -e '.[pin]'
    {{bin}}/uv pip compile -q pyproject.toml --extra alerts --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --annotation-style line --custom-compile-command 'just requirements' \
        -o deploy/requirements.txt {{args}}
