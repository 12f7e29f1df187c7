# The verbs of this project; `just` lists them. All of them use the virtual environment in .venv.

bin := ".venv/bin"

# Some machines set it; then each start of the program, and each process of the tests, would compile everything anew.
export PYTHONDONTWRITEBYTECODE := ""

# Many tests wait, so even two cores carry four of them at a time.
parallel := "-n 4 --maxschedchunk 1"

# These run the program in processes of its own, or trace its lines themselves: coverage sees nothing of them …
program_tests := "tests/browser tests/e2e tests/chaos tests/deploy"

# … and these do the same thousands of times, which others do once: coverage would only slow them down.
searches := "tests/model tests/month tests/imports/test_fuzz.py tests/desk/test_scanner.py tests/web/test_api_document.py"

_default:
    @just --list --unsorted

# make .venv with everything that development needs
setup:
    python3 -m venv .venv
    {{bin}}/pip install -q -e '.[dev]'

# what CI runs: style, types, all tests, and what they cover
check: lint types test

# style, spelling, formatting, and the layers that imports must keep
lint:
    {{bin}}/ruff check
    {{bin}}/ruff format --check
    {{bin}}/codespell
    {{bin}}/lint-imports

# static types, strictly
types:
    {{bin}}/mypy

# all tests; core/ is covered branch by branch by its own, the package to 95 % by the tests in one process
test:
    {{bin}}/pytest -n 2 --maxschedchunk 1 --cov --cov-report= tests/core
    {{bin}}/coverage report --include='reminderd/core/*' --fail-under=100
    {{bin}}/pytest {{parallel}} --cov --cov-append --cov-report= --ignore=tests/core {{prepend("--ignore=", program_tests + " " + searches)}}
    {{bin}}/coverage report --fail-under=95
    {{bin}}/pytest {{parallel}} {{searches}} {{program_tests}}

# the fast tests, in less than a minute: core, store, web and providers, with fewer random histories
quick:
    REMINDERD_HISTORIES=25 REMINDERD_MODEL_HISTORIES=100 {{bin}}/pytest -q {{parallel}} tests/core tests/store tests/web tests/providers

# all tests on the newest Python, the quick ones on the one before, where they are installed
test-newer:
    .ci/newer-pythons --all

# write the code in the one style
format:
    {{bin}}/ruff check --fix
    {{bin}}/ruff format

# start the daemon here, with config.toml if there is one
run *args:
    {{bin}}/reminderd run {{args}}

# watch every kind of call happen, in seconds, with nothing set up; `just demo --desk` shows the pages
demo *args:
    {{bin}}/reminderd demo {{args}}

# what the tests of the pages need apart from Chromium and npm, which come from Debian
browser:
    tests/browser/install.sh

# make the pictures of the pages in docs/screenshots anew
screenshots:
    {{bin}}/python -m tests.browser.screenshots

# measure speed as ratios against stated yardsticks; prints a table, writes bench/results.json
bench *args:
    {{bin}}/python -m bench {{args}}

# kill the real program again and again between its clinic and a terrible provider: `just chaos --seed 7 --minutes 30 --engine postgres`
chaos *args:
    {{bin}}/python -m tests.chaos {{args}}

# print how large the package is, which names occur twice, and what --help costs
house:
    {{bin}}/python -m bench.house

# date the changelog's open section as the version in reminderd/__init__.py, after all checks; commit and tag it
release: check
    .ci/release

# make dist/reminderd: one file that runs where no Python is
build:
    python3 -m venv --clear .venv-build
    .venv-build/bin/pip install -q --require-hashes -r deploy/requirements.txt
    .venv-build/bin/pip install -q '.[alerts,build]'
    .venv-build/bin/pyinstaller --noconfirm --log-level ERROR --workpath .venv-build/work deploy/reminderd.spec

# pin what reminderd stands on, with hashes, in deploy/requirements.txt; `just requirements --upgrade` takes the newest
requirements *args:
    {{bin}}/pip install -q -e '.[pin]'
    {{bin}}/uv pip compile -q pyproject.toml --extra alerts --extra postgres --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --annotation-style line --custom-compile-command 'just requirements' \
        -o deploy/requirements.txt {{args}}
