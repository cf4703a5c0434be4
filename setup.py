"""What pyproject.toml cannot say: the packages as they are found, and data/ as a folder inside them."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["wiseft_nb", "wiseft_nb.*"]), "wiseft_nb.data"],
    package_dir={"wiseft_nb.data": "data"},
    package_data={"wiseft_nb.data": ["**/*"]},
)
