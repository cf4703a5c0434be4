"""Everything that names packages, commands and places agrees."""

import ast
import re
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from wiseft_nb.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_CONDA = {"torch": "pytorch-cpu"}  # everything else has the same name, `_` and `-` aside
NOT_PACKAGES = {"python", "pip", "make"}
COMES_WITH = {  # imported, and not in pyproject because another package needs it
    "huggingface_hub": "open_clip_torch",
    "timm": "open_clip_torch",
    "IPython": "ipywidgets",
    "ipykernel": "jupyterlab",
    "jupyterlab_server": "jupyterlab",
    "nbclient": "nbconvert",
    "nbformat": "nbconvert",
    "packaging": "pytest",
}
IMPORTED_AS = {
    "PIL": "pillow",
    "open_clip": "open_clip_torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "fontTools": "fonttools",
    "xdist": "pytest-xdist",
}


def declared(*groups):
    """Requirements of pyproject.toml by canonical name."""
    lines = PROJECT["dependencies"] + [line for group in groups for line in PROJECT["optional-dependencies"][group]]
    found = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    ours = found.pop(PROJECT["name"], None)  # an extra may name other extras of this package
    return found | (declared(*ours.extras) if ours else {})


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): Version(version.strip()) for name, version in pairs}


def conda():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = [line for entry in listed if isinstance(entry, dict) for line in entry["pip"] if line != "-e ."]
    plain = {}
    for line in [entry for entry in listed if isinstance(entry, str)] + by_pip:
        name, ranges = re.fullmatch(r"([\w.-]+)\s*(.*)", line).groups()
        if name not in NOT_PACKAGES:
            plain[canonicalize_name(name)] = ranges.replace(" ", "")
    return plain


def test_environment_yml_names_the_packages_of_pyproject_with_the_same_ranges():
    wanted = declared("test")
    renamed = {canonicalize_name(ON_CONDA.get(name, name)): str(r.specifier) for name, r in wanted.items()}
    found = conda()
    assert found.keys() == renamed.keys()

    def split(text):
        return set(text.split(","))

    assert {name: split(text) for name, text in found.items()} == {name: split(text) for name, text in renamed.items()}


def test_environment_yml_says_for_each_package_what_needs_it():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line.lstrip().startswith("- ")]
    mute = [line for line in entries if "#" not in line and not re.search(r"conda-forge|python>|pip:?$", line)]
    assert not mute


def test_constraints_pin_every_dependency_inside_its_range():
    pinned = pins()
    for name, requirement in declared(*PROJECT["optional-dependencies"]).items():
        assert name in pinned, f"pin {name} in constraints.txt"
        assert pinned[name] in requirement.specifier, f"{name}=={pinned[name]} is outside {requirement.specifier}"


def test_every_package_that_is_imported_is_declared():
    names = set(declared(*PROJECT["optional-dependencies"]))
    tests = list((ROOT / "tests").glob("*.py"))
    ours = {"wiseft_nb", *(path.stem for path in tests), *sys.stdlib_module_names}
    for path in [*(ROOT / "wiseft_nb").rglob("*.py"), *tests, ROOT / "conftest.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            for top in {module.split(".")[0] for module in modules} - ours:
                top = COMES_WITH.get(top, top)
                assert canonicalize_name(IMPORTED_AS.get(top, top)) in names, f"{path.name} imports {top}"


def test_what_comes_with_another_package_really_does():
    for module, parent in COMES_WITH.items():
        needed = {canonicalize_name(Requirement(line).name) for line in requires(parent) or ()}
        assert canonicalize_name(module) in needed


def test_conda_and_pip_agree_on_python():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = (Requirement(entry) for entry in listed if isinstance(entry, str) and entry.startswith("python"))
    wanted = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert {str(part) for part in wanted} <= {str(part) for part in python.specifier}


def make_targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_five_targets_are_there_and_set_up_what_they_need():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("tutorial", "test", "lab", "lint", "pretrain"):
        assert re.search(rf"^{target}: \$\(VENV\)/ready", makefile, re.MULTILINE)


def test_every_make_command_of_the_readme_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=`|\s+#|$)", readme, re.MULTILINE))
    assert {"tutorial", "test"} <= named <= make_targets()


def test_the_readme_gives_the_makefiles_lines_for_machines_without_make():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("tutorial", "test", "lab", "pretrain"):
        (line,) = re.findall(rf"^{target}:.*\n\t\$\(PY\) (-m [^$\n]*[^$\s])", makefile, re.MULTILINE)
        assert line in readme, f"README should give {line!r} for make {target}"


def test_every_module_that_is_run_by_name_exists():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile")]
    texts += [path.read_text(encoding="utf-8") for path in [*ROOT.glob("data/**/README.md"), *ROOT.glob("*/*.ipynb")]]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "wiseft_nb").rglob("*.py")]
    for module in set(re.findall(r"-m (wiseft_nb[\w.]*\w)", "\n".join(texts))):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_continuous_integration_calls_the_readmes_test_command_and_lints_once():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines.count("make test") == lines.count("make lint") == 1


def test_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", readme) if "://" not in t]
    missing = sorted({t for t in targets if t and not (ROOT / t).exists()})
    assert targets and not missing


def test_every_picture_of_the_readme_has_alternative_text():
    pictures = re.findall(r"!\[(.*?)\]\(", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert pictures and all(pictures)


def shipped_texts():
    yield from (path for path in (ROOT / "wiseft_nb").rglob("*.py"))
    for pattern in ("*.md", "*.yml", "*.toml", "Makefile", "notebooks/*", "docs/*.md", "data/**/*.md", "data/**/*.csv"):
        yield from ROOT.glob(pattern)


def test_no_text_names_a_place_on_one_machine():
    places = re.compile(r"(?<![\w.~$\-/])/(?:work|root|home|tmp|Users)/|[A-Z]:\\\\")
    found = {
        path.relative_to(ROOT).as_posix(): places.search(text)[0]
        for path in set(shipped_texts())
        if path.is_file() and places.search(text := path.read_text(encoding="utf-8"))
    }
    assert not found


def test_paths_are_those_of_the_repository():
    assert Path(__file__).parent.parent.resolve() == ROOT and (ROOT / "pyproject.toml").exists()
