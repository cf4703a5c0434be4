# Each target sets up what it needs; without make, type the lines below by hand (README.md, "Without make").
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: tutorial lab ratings test lint notebooks exercises student solved handout figures book benchmark pretrain clean

tutorial: $(VENV)/ready $(if $(ALL),ratings)  ## run notebooks 00 to 04, write them as HTML under build/; all with ALL=1
	$(PY) -m wiseft_nb.make.tutorial $(if $(ALL),--all)

lab: $(VENV)/ready  ## open the course in JupyterLab
	$(PY) -m wiseft_nb.make.lab

ratings: $(VENV)/ready  ## fetch the texts that people rated, 2.5 MB, for notebook 13; without them it is skipped
	-$(PY) -m wiseft_nb.make.sentiment

test: $(VENV)/ready ratings  ## every test, every notebook
	$(PY) -m pytest -n 2 --dist loadfile

lint: $(VENV)/ready
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

notebooks: $(VENV)/ready ratings  ## execute every notebook again, in place
	$(PY) -m wiseft_nb.make.tutorial --in-place --all

exercises: $(VENV)/ready  ## write the exercises into the notebooks from wiseft_nb/course/exercises
	$(PY) -m wiseft_nb.make.exercises

student: $(VENV)/ready  ## copies for a class without outputs and solutions, in build/student
	$(PY) -m wiseft_nb.make.exercises student

solved: $(VENV)/ready  ## copies with the solutions filled in, in build/solved
	$(PY) -m wiseft_nb.make.exercises solved

handout: $(VENV)/ready  ## the students' bundle, build/handout.zip; WHEELS=1 adds the packages to install
	$(PY) -m wiseft_nb.make.handout $(if $(WHEELS),--wheels)

figures: $(VENV)/ready  ## the course's figures for slides, in build/figures; PDF="03 04" runs these for theirs as PDF
	$(PY) -m wiseft_nb.make.figures $(if $(PDF),--pdf $(PDF))

book: $(VENV)/ready  ## the course as a site, in build/book, from the outputs as they are committed
	$(PY) -m sphinx -c docs -W --keep-going . build/book

benchmark: $(VENV)/ready  ## ours, the naive way and open_clip's own side by side, about an hour
	$(PY) -m wiseft_nb.make.timing

pretrain: $(VENV)/ready  ## train the bundled CLIP again, 69 minutes on 2 cores
	$(PY) -m wiseft_nb.make.pretrain

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -c constraints.txt -e ".[test]"
	@touch $@

clean:
	rm -rf $(VENV) build
