# make softmax   set up .venv and run the main job: an INT8 softmax in build/softmax_int8/
# make test      set up .venv with the test tools, lint, and pass the tests
# make figures   draw the pictures of README and docs again
# make cost      synthesise every unit for every target, and fill docs/cost.md
# make bench     print the figures that README and docs quote
# make clean     remove build/ and .venv/

PYTHON ?= python3
# The version whose results docs/ records; a machine without a GPU is served best by a CPU build,
# e.g. make test TORCH=/path/to/torch-2.13.0+cpu.whl
TORCH ?= torch==2.13.0
BIN := .venv/bin

.PHONY: softmax test lint figures cost bench clean
.DELETE_ON_ERROR:

softmax: .venv/main
	$(BIN)/python -m hw.build --op softmax --bits 8

test: .venv/dev lint
	@tools/need iverilog iverilog
	@tools/need sta opensta || echo "make test: without it the tests of timing and power are left out" >&2
	@tools/need verilator verilator || echo "make test: without it the tests of that simulator are left out" >&2
	$(BIN)/python -m pytest -n auto

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

figures: .venv/dev
	$(BIN)/python -m hw.build --op gelu --arch pwl --target generic
	$(BIN)/python -m nnlut_train.plot build/gelu_int8/tables/table.json --out docs/img/gelu_int8.svg
	$(BIN)/python -m nnlut_train.plot build/gelu_int8/tables/table.json --out docs/img/gelu_int8.png

cost: .venv/dev
	$(BIN)/python -m hw.compare --out docs/cost --document docs/cost.md

bench: .venv/dev
	$(BIN)/python bench/optimal.py
	$(BIN)/python bench/softmax.py
	$(BIN)/python bench/softmax_methods.py --area
	$(BIN)/python bench/layernorm.py --area
	$(BIN)/python bench/functions.py
	$(BIN)/python bench/shared.py
	$(BIN)/python bench/writable.py
	$(BIN)/python bench/folding.py
	$(BIN)/python bench/genetic.py
	$(BIN)/python bench/sizes.py
	$(BIN)/python bench/nn.py
	$(BIN)/python bench/torch_speed.py
	$(BIN)/python bench/stress.py
	$(BIN)/python bench/gates.py
	$(BIN)/python bench/architectures.py
	$(BIN)/python bench/multipartite.py
	$(BIN)/python bench/small_tables.py
	$(BIN)/python bench/prove.py
	$(BIN)/python bench/prove_stream.py
	$(BIN)/python bench/prove_overflow.py
	$(BIN)/python bench/mutants.py
	$(BIN)/python bench/simulators.py
	$(BIN)/python bench/bounds.py
	$(BIN)/python bench/fuzz.py
	$(BIN)/python bench/interrupt.py

clean:
	rm -rf build .venv

# A virtual environment is made anew where an earlier attempt was interrupted.
.venv/main: pyproject.toml
	@tools/need-venv $(PYTHON)
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/dev: .venv/main
	$(BIN)/pip install --quiet '$(TORCH)'
	$(BIN)/pip install --quiet --editable '.[train,eval,plot,fpga,dev]'
	@touch $@
