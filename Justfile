# The commands of this project; `just` lists them. All of them use the virtual environment in .venv.

bin := ".venv/bin"

# Some machines set this; then each start of the program, and each process of the tests, would compile everything again.
export PYTHONDONTWRITEBYTECODE := ""

# Many tests mostly wait, so even two cores can run four of them at a time.
parallel := "-n 4 --maxschedchunk 1"

# These tests run the program in separate processes, or trace its lines themselves: coverage can't measure them.
program_tests := "tests/browser tests/e2e tests/chaos tests/deploy"

# These tests repeat thousands of times what other tests do once: coverage would only slow them down.
searches := "tests/model tests/month tests/imports/test_fuzz.py tests/desk/test_scanner.py tests/web/test_api_document.py tests/cli/test_no_values.py"

# The same in tests/core: its other tests cover all branches.
core_searches := "tests/core/lifecycle/test_every_pair.py tests/core/lifecycle/test_histories.py tests/core/lifecycle/test_replan_histories.py"

_default:
    @just --list --unsorted

# make .venv with everything that development needs
setup:
    python3 -m venv .venv
    {{bin}}/pip install -q -e '.[dev]'

# run what CI runs: style, types, all tests, and coverage
check: lint types test

# check style, spelling, formatting, and the layers of imports
lint:
    {{bin}}/ruff check
    {{bin}}/ruff format --check
    {{bin}}/codespell
    {{bin}}/lint-imports

# check static types, strictly
types:
    {{bin}}/mypy

# run all tests: those of core/ must cover all of its branches, and those in one process 95 % of the package
test:
    {{bin}}/pytest -n 2 --maxschedchunk 1 --cov --cov-report= tests/core {{prepend("--ignore=", core_searches)}}
    {{bin}}/coverage report --include='reminderd/core/*' --fail-under=100
    {{bin}}/pytest {{parallel}} --cov --cov-append --cov-report= --ignore=tests/core {{prepend("--ignore=", program_tests + " " + searches)}}
    {{bin}}/coverage report --fail-under=95
    {{bin}}/pytest {{parallel}} {{core_searches}} {{searches}} {{program_tests}}

# run the fast tests, in less than a minute: core, store, web and providers, on SQLite alone, with fewer random histories
quick:
    REMINDERD_HISTORIES=25 REMINDERD_POSTGRES=0 {{bin}}/pytest -q -n 3 --maxschedchunk 1 tests/core tests/store tests/web tests/providers \
        --ignore=tests/store/postgres {{prepend("--ignore=", searches)}}

# run all tests on the newest Python, and the quick ones on the version before it, if these are installed
test-newer:
    .ci/newer-pythons --all

# rewrite the code in our style
format:
    {{bin}}/ruff check --fix
    {{bin}}/ruff format

# start the daemon here, with config.toml if there is one
run *args:
    {{bin}}/reminderd run {{args}}

# show every kind of call within seconds, without any setup; `just demo --desk` shows the pages
demo *args:
    {{bin}}/reminderd demo {{args}}

# install what the tests of the pages need, except Chromium and npm, which come from Debian
browser:
    tests/browser/install.sh

# make the screenshots of the pages in docs/screenshots again
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

# make dist/reminderd: one file that needs no Python
build:
    python3 -m venv --clear .venv-build
    .venv-build/bin/pip install -q --require-hashes -r deploy/requirements.txt
    .venv-build/bin/pip install -q '.[alerts,build]'
    .venv-build/bin/pyinstaller --noconfirm --log-level ERROR --workpath .venv-build/work deploy/reminderd.spec

# pin the packages that reminderd needs, with hashes, in deploy/requirements.txt; `just requirements --upgrade` takes the newest
requirements *args:
    {{bin}}/pip install -q -e '.[pin]'
    {{bin}}/uv pip compile -q pyproject.toml --extra alerts --extra postgres --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --annotation-style line --custom-compile-command 'just requirements' \
        -o deploy/requirements.txt {{args}}
