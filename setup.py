"""Hands the native build to CMake.

pyproject.toml says what the package is, CMakeLists.txt says how its native part is built, and this
file joins the two: scikit-build-core's setuptools plugin reads ``cmake_source_dir`` and runs CMake
from there.
CMake options live in ``[tool.scikit-build.cmake.define]`` of pyproject.toml, never here.
"""

from setuptools import setup

setup(cmake_source_dir=".")
